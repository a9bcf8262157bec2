"""The dashboards keep their rules: titles, units, descriptions, valid queries of metrics that there are."""

import re

import promql_parser
import pytest

from tests.deploy.exported import growing, samples_by_metric
from tests.deploy.shipped import boards, metrics_in, nodes, panels, rules

PANELS = panels()
QUERIES = [(panel, query) for panel in PANELS for query in panel.queries]
NAMES = [f"{panel} {query.legend}" for panel, query in QUERIES]
UNITS = {"none", "short", "percentunit", "s", "cps", "reqps", "Bps", "bytes"}
RATES = {"rate", "increase", "irate", "delta", "deriv"}
OF_PROMETHEUS = {"up": "what Prometheus itself says of a target: a process that is dead exports nothing"}
NOT_SHOWN = {
    "adql_process_virtual_memory_bytes": "resident memory is what a limit counts",
    "adql_process_max_fds": "a constant of the machine; the panel Open files shows what is used of it",
}
SECTIONS = {
    "learning": """
        Greedy return; Training return; Success rate; Episode length; TD loss; Q values; Gradient norm; Exploration ε;
        Learning rate; ETA""",
    "asynchrony": """
        Staleness; Staleness p50 and p99; Parameter divergence; Updates a second by learner;
        Refused and duplicate updates; Version; Push p50 and p99; Pull p50 and p99; Bytes a second; Commit p50 and p99;
        Updates at risk""",
    "replay": """
        Size; Bytes; Inserts and samples a second; Samples per insert; Sample age p50 and p99; Priorities;
        Limiter waits""",
    "fleet": """
        Learners up; Environment steps a second; A learner's time by activity; Restarts in the last hour; CPU; Memory;
        Store memory""",
}


@pytest.mark.parametrize("name", SECTIONS)
def test_dashboard_has_the_panels_that_people_look_for(name):
    wanted = {" ".join(title.split()) for title in SECTIONS[name].split(";")}
    assert wanted <= {panel.title for panel in PANELS if panel.board == name}


def test_there_is_a_dashboard_for_each_of_the_four_subjects():
    assert set(boards()) == set(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_dashboard_cannot_be_edited_and_its_data_source_is_chosen_above(name):
    board = boards()[name]
    assert board["editable"] is False and board["uid"] == f"adql-{name}"
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "release"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert {variables[name]["allValue"] for name in ("namespace", "release")} == {".*"}


@pytest.mark.parametrize("name", SECTIONS)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name):
    numbers = [panel["id"] for panel in boards()[name]["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken = set()
    for panel in boards()[name]["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_panel_has_title_description_unit_and_queries(panel):
    assert panel.title and len(panel.json["description"]) > 20 and panel.json["description"].endswith(".")
    assert panel.json["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel.queries


def test_titles_are_told_apart_on_each_dashboard():
    titles = [str(panel) for panel in PANELS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_panel_asks_the_chosen_data_source(panel):
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert panel.json["datasource"] == chosen
    assert all(target["datasource"] == chosen for target in panel.json["targets"])


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=NAMES)
def test_query_is_valid_and_leaves_no_variable_unfilled(panel, query):
    assert "$" not in query.filled()
    promql_parser.parse(query.filled())


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=NAMES)
def test_query_takes_rates_of_what_only_grows_over_the_interval_that_grafana_chooses(panel, query):
    calls = [node for node in nodes(query.filled()) if isinstance(node, promql_parser.Call) and node.func.name in RATES]
    taken = {selector.vector_selector.name for call in calls for selector in call.args}
    assert taken <= growing()
    assert query.expression.count("[$__rate_interval]") == len(calls)
    assert "or vector(" not in query.expression


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=NAMES)
def test_query_shows_the_chosen_namespace_and_release_alone(panel, query):
    found = [node for node in nodes(query.filled()) if isinstance(node, promql_parser.VectorSelector)]
    for selector in found:
        names = {matcher.name for matcher in selector.matchers.matchers}
        assert {"namespace", "app_kubernetes_io_instance"} <= names, str(selector)


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=NAMES)
def test_legend_names_the_pod_or_what_was_added_up_by(panel, query):
    kept = re.findall(r"by \(([^)]*)\)", query.expression)
    labels = {label.strip() for group in kept for label in group.split(",")}
    named = set(re.findall(r"{{(\w+)}}", query.legend))
    if panel.title == "Status":
        assert named == {"status"}
    elif labels:
        assert named == labels - ({"le"} if "pod" in labels else set())
    else:
        assert "pod" in named


def test_every_metric_in_a_panel_or_rule_is_in_the_code():
    there = {sample for samples in samples_by_metric().values() for sample in samples}
    read = {name for _, query in QUERIES for name in metrics_in(query.filled())}
    read |= {name for rule in rules() for name in metrics_in(rule["expr"])}
    assert read - there == set(OF_PROMETHEUS)


@pytest.mark.parametrize("metric", samples_by_metric())
def test_every_metric_in_the_code_is_in_a_panel_unless_it_is_listed_with_a_reason(metric):
    shown = {name for _, query in QUERIES for name in metrics_in(query.filled())}
    assert any(sample in shown for sample in samples_by_metric()[metric]) != (metric in NOT_SHOWN)
