from adql.config import differences


def test_differences_name_the_key_and_both_values():
    old = {"replay": {"capacity": 10, "sampler": "uniform"}, "network": {"hidden": [8]}}
    new = {"replay": {"capacity": 20, "sampler": "uniform"}, "network": {"hidden": [8], "dueling": True}}
    assert differences(old, new) == ["network.dueling was None, now True", "replay.capacity was 10, now 20"]


def test_equal_trees_have_no_differences():
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []
