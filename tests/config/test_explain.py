from adql.config import explain


def test_each_key_names_the_layer_that_it_came_from(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("replay: {capacity: 5000, sampler: prioritised}\nnetwork: {hidden: [8]}\n")
    environ = {"ADQL_REPLAY__CAPACITY": "6000", "ADQL_NETWORK__HIDDEN": "[32]"}
    text = explain(file, ["network.hidden=[64]"], environ)
    lines = dict(map(str.strip, line.split("  # ")) for line in text.splitlines())
    assert lines["replay.capacity=6000"] == "ADQL_REPLAY__CAPACITY"
    assert lines["replay.sampler=prioritised"] == str(file)
    assert lines["network.hidden=[64]"] == "command line"
    assert lines["network.kind=dense"] == "default"
