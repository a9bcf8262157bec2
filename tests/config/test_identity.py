import pytest

from adql.config import config_hash, differences, specification_from
from adql.config.identity import MOST_NAMED, check_same_hash, identity_keys, naming_differences
from adql.errors import OtherRunError, WrongRunError

RUN = specification_from({})


def test_differences_name_the_key_and_both_values():
    old = {"replay": {"capacity": 10, "sampler": "uniform"}, "network": {"hidden": [8]}}
    new = {"replay": {"capacity": 20, "sampler": "uniform"}, "network": {"hidden": [8], "dueling": True}}
    assert differences(old, new) == ["network.dueling was None, now True", "replay.capacity was 10, now 20"]


def test_equal_trees_have_no_differences():
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []


def refused(theirs, keys) -> str:
    """What a process of RUN is told by one that has another hash and these keys."""
    with pytest.raises(WrongRunError) as refusal, naming_differences(RUN):
        check_same_hash(config_hash(RUN), theirs, keys)
    return str(refusal.value)


def test_refusal_names_the_keys_that_differ_with_both_values():
    other = specification_from({"algorithm": {"gamma": 0.5}, "network": {"hidden": [8]}})
    said = "algorithm.gamma is 0.5 there, 0.99 here, network.hidden is [8] there, [256, 256] here"
    assert refused(config_hash(other), identity_keys(other)) == (
        f"configuration differs from this run's: {said}; start with its values"
    )


def test_refusal_names_a_few_keys_and_counts_the_others_and_cuts_long_values():
    keys = identity_keys(RUN)
    other = {**keys, "update": dict.fromkeys(keys["update"], "x" * 500)}
    said = refused("other", other)
    assert f" and {len(keys['update']) - MOST_NAMED} more; start" in said and len(said) < 1_000


@pytest.mark.parametrize("keys", ["", "[1]", "{", "[" * 100_000, None, 7])
def test_refusal_without_keys_that_can_be_read_stays_as_it_is(keys):
    with pytest.raises(WrongRunError, match=r"^differs$"), naming_differences(RUN):
        raise WrongRunError("differs", keys=keys)


def test_refusal_of_another_run_stays_one():
    with pytest.raises(OtherRunError), naming_differences(RUN):
        raise OtherRunError("another run id")
