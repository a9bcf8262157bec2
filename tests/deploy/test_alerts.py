"""Every alert fires when it should, is silent when it should, and says what to do."""

import re

import pytest
import yaml

from tests.deploy.alert_cases import CASES, LABELS, Case
from tests.deploy.promtool import promtool
from tests.deploy.shipped import RULES, panels, rules

BY_NAME = {rule["alert"]: rule for rule in rules()}
RUN = {"namespace": "rl", "app_kubernetes_io_instance": "cart"}


def fired(case: Case) -> list[dict]:
    """Returns what promtool is to expect of a case."""
    if not case.fires:
        return []
    rule = BY_NAME[case.alert]
    labels = {**rule["labels"], **RUN, **case.labels}
    told = {
        name: text.replace("{{ $labels.pod }}", labels.get("pod", "")) for name, text in rule["annotations"].items()
    }
    return [{"exp_labels": labels, "exp_annotations": told}]


def in_run(series: str) -> str:
    """Returns the name of a series with the labels of the run."""
    return series.replace("{", f"{{{LABELS}, ").replace(", }", "}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_alert(case, tmp_path):
    expected = {"eval_time": f"{case.minutes}m", "alertname": case.alert, "exp_alerts": fired(case)}
    series = [{"series": in_run(name), "values": values} for name, values in case.series.items()]
    tests = [{"interval": "1m", "input_series": series, "alert_rule_test": [expected]}]
    (file := tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    promtool("test", "rules", str(file))


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    assert {(case.alert, case.fires) for case in CASES} == {
        (name, fires) for name in BY_NAME for fires in (True, False)
    }


def test_rules_pass_promtool():
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", str(RULES))


@pytest.mark.parametrize("name", BY_NAME)
def test_alert_has_a_severity_and_says_what_is_wrong_and_what_to_do(name):
    rule = BY_NAME[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert len(rule["annotations"]["runbook"]) > 100


@pytest.mark.parametrize("name", BY_NAME)
def test_panels_that_a_runbook_names_are_there(name):
    titles = {panel.title for panel in panels()}
    assert set(re.findall(r"'([A-Z][\w ]+)'", BY_NAME[name]["annotations"]["runbook"])) <= titles


def test_series_without_labels_of_kubernetes_raise_alerts_too(tmp_path):
    """As under compose."""
    expected = fired(next(case for case in CASES if case.alert == "AdqlStoreMemoryHigh"))
    for label in RUN:
        del expected[0]["exp_labels"][label]
    series = [
        {"series": "adql_store_memory_bytes", "values": "90x60"},
        {"series": "adql_store_memory_limit_bytes", "values": "100x60"},
    ]
    test = {"eval_time": "20m", "alertname": "AdqlStoreMemoryHigh", "exp_alerts": expected}
    tests = [{"interval": "1m", "input_series": series, "alert_rule_test": [test]}]
    (file := tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    promtool("test", "rules", str(file))
