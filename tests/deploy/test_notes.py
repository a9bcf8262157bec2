"""NOTES of the chart: what they tell to type can be typed, names what is there, and gives nothing away."""

import re
import shlex
from itertools import pairwise

import pytest

from adql_services import cli
from tests.deploy.features import CASES, DIGEST, FEATURES
from tests.deploy.releases import Release
from tests.deploy.rendering import merged, render, texts, values_of

OPERATOR = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


def commands(notes: str) -> list[list[str]]:
    """The indented lines, in words; a line that ends with a backslash goes on."""
    lines = re.findall(r"^  (\S.*)$", notes.replace("\\\n", " "), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def flags(notes: str) -> list[str]:
    """What NOTES set for kube-prometheus-stack."""
    (upgrade,) = [words for words in commands(notes) if "--reset-then-reuse-values" in words]
    return [value for flag, value in pairwise(upgrade) if flag == "--set"]


@pytest.mark.parametrize("feature", CASES)
def test_every_command_of_adql_is_one(feature: str):
    lines = [words for words in commands(render(CASES[feature]).notes) if words[0] == "adql"]
    assert ["k8s", "status"] in [words[1:3] for words in lines] and ["k8s", "download"] in [
        words[1:3] for words in lines
    ]
    for words in lines:
        cli._options(words[1:])


@pytest.mark.parametrize("feature", CASES)
def test_every_workload_that_notes_name_is_there(feature: str):
    rendered = render(CASES[feature])
    named = re.findall(r"\b(deployment|statefulset)/(\S+)", rendered.notes)
    kinds = {"deployment": "Deployment", "statefulset": "StatefulSet"}
    assert named
    assert [(kind, name) for kind, name in named if name not in rendered.of(kinds[kind])] == []


def test_flags_for_kube_prometheus_stack_are_accepted_and_make_everything():
    wanted = values_of(*flags(render().notes))
    rendered = render(wanted)
    assert {kind for kind in OPERATOR if rendered.of(kind)} == OPERATOR
    for kind in OPERATOR:
        assert {one["metadata"]["labels"]["release"] for one in rendered.of(kind).values()} == {"monitoring"}
    assert [name for name in rendered.of("ConfigMap") if name.startswith("adql-dashboard-")]
    assert "--reset-then-reuse-values" not in rendered.notes


def test_notes_name_the_namespace_in_every_command_that_needs_one():
    for words in commands(render().notes):
        if words[0] in ("kubectl", "helm", "adql"):
            assert words[words.index("-n") + 1] == "training", words


def test_notes_give_no_secret_away():
    made = texts({})
    (notes,) = [text for path, text in made.items() if path.endswith("NOTES.txt")]
    secrets = re.findall(r"(?:tokens|password): (\S{20,})", made["adql/templates/secrets.yaml"])
    assert len(secrets) == 2 and not any(secret in notes for secret in secrets)


@pytest.mark.parametrize(
    ("assignment", "command"),
    [
        ("image.tag=", "make images && kind load docker-image adql/service:0.1.0 adql/learner:0.1.0"),
        ("image.tag=v9", "make images TAG=v9 && kind load docker-image adql/service:v9 adql/learner:v9"),
        (
            "image.learner.repository=adql/learner-torch",
            "make images IMAGES='service learner-torch' && kind load docker-image adql/service:0.1.0 "
            "adql/learner-torch:0.1.0",
        ),
        (
            "image.learner.repository=example.org/mine",
            "make images IMAGES='service' && kind load docker-image adql/service:0.1.0",
        ),
        (f"image.service.digest={DIGEST}", "make images IMAGES='learner' && kind load docker-image adql/learner:0.1.0"),
    ],
)
def test_notes_say_how_the_images_are_made_that_no_registry_has(assignment: str, command: str):
    assert f"  {command}\n" in render(values_of(assignment)).notes


@pytest.mark.parametrize("key", ["image.registry", "global.imageRegistry"])
def test_notes_leave_out_how_images_are_made_that_a_registry_has(key: str):
    assert "make images" not in render(values_of(f"{key}=registry.example.org")).notes


def test_notes_warn_of_an_external_store_that_no_policy_leads_to():
    values, warned = FEATURES["external store"], "redis.external.egress is empty"
    assert warned not in render(values).notes and warned not in render().notes
    closed = merged(values, {"redis": {"external": {"egress": []}}})
    assert warned in render(closed).notes
    assert warned not in render(merged(closed, FEATURES["network policies open"])).notes


def test_notes_say_who_sets_the_number_of_learners():
    assert "kubectl -n training scale deployment/adql-learner --replicas=" in render().notes
    assert "--force-conflicts" in render().notes and "--rollback-on-failure" in render().notes
    assert "set by KEDA" in render(values_of("autoscaling.enabled=true")).notes
    assert "set by the controller" in render(values_of("controller.enabled=true", "networkPolicy.enabled=false")).notes


def test_notes_say_who_acts_and_who_learns():
    assert "scale deployment/adql-actor --replicas=" in render(FEATURES["actors"]).notes
    assert "until actors of your own insert" in render(values_of("learner.role=learner")).notes
    assert "until learners of your own take part" in render(values_of("learner.role=actor")).notes
    assert "actor" not in render().notes


def test_notes_of_an_upgrade_tell_the_live_count(release: Release):
    assert "with 2 learners" in release.install().notes
    release.scale(6)
    assert "with 6 learners" in release.upgrade().notes


def test_notes_warn_where_nobody_is_asked_for_a_token():
    warned = "auth.enabled is false"
    assert warned in render(values_of("auth.enabled=false")).notes and warned not in render().notes


def test_flags_of_notes_lay_over_whatever_a_release_has():
    for feature in CASES:
        if "--reset-then-reuse-values" in (notes := render(CASES[feature]).notes):
            render(merged(CASES[feature], values_of(*flags(notes))))
