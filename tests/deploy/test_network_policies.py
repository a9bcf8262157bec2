"""Who may connect to whom: the graph that the NetworkPolicies allow, from both ends."""

import pytest

from tests.deploy.copies import with_bug
from tests.deploy.features import FEATURES
from tests.deploy.rendering import COMPONENTS, Object, Rendered, merged, render, values_of

Edge = tuple[str, str, int]
"""Who asks, who answers, and at which port."""

INTENDED: set[Edge] = {
    ("learner", "parameter-server", 8420),
    ("learner", "replay", 8430),
    ("evaluator", "parameter-server", 8420),
    ("parameter-server", "valkey", 6379),
    ("test", "parameter-server", 8420),
    ("test", "replay", 8430),
}
SCRAPED = {("parameter-server", 8421), ("replay", 8431), ("learner", 8441), ("evaluator", 8451)}
DNS = [(53, "TCP"), (53, "UDP")]
SPACE = "namespaceSelector"


def policies(rendered: Rendered) -> dict[str, Object]:
    """Policies by the component that they are for; "" for the one that closes everything."""
    return {
        one["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component", ""): one["spec"]
        for one in rendered.of("NetworkPolicy").values()
    }


def between_pods(rendered: Rendered, direction: str) -> set[Edge]:
    """The edges between components that one end allows."""
    edges = set()
    for own, spec in policies(rendered).items():
        for rule in spec.get(direction, ()):
            for peer in rule["from" if direction == "ingress" else "to"]:
                if "podSelector" in peer and SPACE not in peer:
                    other = peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                    pair = (other, own) if direction == "ingress" else (own, other)
                    edges |= {(*pair, port["port"]) for port in rule["ports"]}
    return edges


def outside(rendered: Rendered, component: str, direction: str) -> list[Object]:
    """The rules of a component whose peers are not pods of the release."""
    key = "from" if direction == "ingress" else "to"
    rules = policies(rendered)[component].get(direction, ())
    return [rule for rule in rules if any("podSelector" not in peer or SPACE in peer for peer in rule[key])]


def test_both_ends_allow_exactly_the_edges_that_are_needed():
    assert between_pods(render(), "ingress") == INTENDED
    assert between_pods(render(), "egress") == INTENDED


def test_actors_are_allowed_what_learners_are():
    rendered = render(FEATURES["actors"])
    wanted = INTENDED | {("actor", "parameter-server", 8420), ("actor", "replay", 8430)}
    assert between_pods(rendered, "ingress") == between_pods(rendered, "egress") == wanted


def test_every_pod_is_closed_both_ways_before_anything_is_allowed():
    for component, spec in policies(render()).items():
        assert set(spec["policyTypes"]) == {"Ingress", "Egress"}, component
    closed = policies(render())[""]
    assert "ingress" not in closed and "egress" not in closed
    labels = closed["podSelector"]["matchLabels"]
    assert all(labels.items() <= pod["metadata"]["labels"].items() for _, pod in render().pods())


def test_no_rule_is_without_a_peer_or_a_port():
    for component, spec in policies(render()).items():
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            assert rule.get("from", rule.get("to")) and rule.get("ports"), component


def test_side_ports_are_open_to_whoever_scrapes_and_to_nobody_else():
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    found = {
        (component, rule["ports"][0]["port"])
        for component in COMPONENTS
        for rule in outside(render(), component, "ingress")
        if rule["from"] == [peer] and len(rule["ports"]) == 1
    }
    assert found == SCRAPED
    assert sum(len(outside(render(), component, "ingress")) for component in (*COMPONENTS, "test")) == len(SCRAPED)


def test_nobody_scrapes_where_nobody_is_named():
    rendered = render({"networkPolicy": {"metrics": {"from": []}}})
    assert [outside(rendered, component, "ingress") for component in COMPONENTS] == [[]] * len(COMPONENTS)
    assert between_pods(rendered, "ingress") == INTENDED


def test_whoever_asks_by_name_may_ask_dns_over_udp_and_tcp_and_the_store_asks_nobody():
    for component in ("learner", "evaluator", "parameter-server", "test"):
        (rule,) = outside(render(), component, "egress")
        assert sorted((port["port"], port["protocol"]) for port in rule["ports"]) == DNS
    for component in ("valkey", "replay"):
        assert "egress" not in policies(render())[component]


def test_nobody_is_asked_for_names_where_nobody_is_said_to_answer_them():
    rendered = render({"networkPolicy": {"dns": {"to": []}}})
    assert [outside(rendered, component, "egress") for component in COMPONENTS] == [[]] * len(COMPONENTS)
    assert all(rule["to"] for spec in policies(rendered).values() for rule in spec.get("egress", ()))


def test_external_store_is_reached_by_the_parameter_server_alone():
    rendered = render(FEATURES["external store"])
    way = FEATURES["external store"]["redis"]["external"]["egress"][0]
    assert way in outside(rendered, "parameter-server", "egress")
    assert not any(way in outside(rendered, one, "egress") for one in ("learner", "evaluator", "test", "replay"))
    without = {edge for edge in INTENDED if "valkey" not in edge}
    assert between_pods(rendered, "ingress") == between_pods(rendered, "egress") == without
    assert "valkey" not in policies(rendered)


@pytest.mark.parametrize("component", ["learner", "evaluator", "actor", "test"])
def test_environments_reach_what_values_say(component: str):
    values = merged(FEATURES["network policies"], FEATURES["actors"])
    (way,) = values["learner" if component == "test" else component]["extraEgress"]
    assert way in outside(render(values), component, "egress")
    assert way not in outside(render(values), "parameter-server", "egress")


def test_policies_are_gone_where_they_are_switched_off():
    assert render(values_of("networkPolicy.enabled=false")).of("NetworkPolicy") == {}


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("_names.tpl", "learner: [parameter-server, replay]", "learner: [parameter-server, replay, valkey]"),
        ("_names.tpl", "evaluator: [parameter-server]\n", ""),
        ("_network.tpl", "{{- $extra := .values.extraEgress -}}", "- {}\n{{- $extra := .values.extraEgress -}}"),
        (
            "networkpolicies.yaml",
            "  policyTypes: [Ingress, Egress]\n{{- $facts",
            "  policyTypes: [Ingress]\n{{- $facts",
        ),
    ],
)
def test_planted_hole_is_seen(tmp_path, file: str, right: str, wrong: str):
    rendered = render(chart=with_bug(tmp_path, f"templates/{file}", right, wrong))
    edges = [between_pods(rendered, direction) for direction in ("ingress",)]
    rules = [rule for spec in policies(rendered).values() for rule in spec.get("egress", ())]
    types = [set(spec["policyTypes"]) for spec in policies(rendered).values()]
    whole = edges == [INTENDED] and all("to" in rule for rule in rules) and {"Ingress"} not in types
    assert not whole
