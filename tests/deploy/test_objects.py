"""Kubernetes takes every object that the chart makes, whatever is switched on."""

import helm_python
import pytest

from tests.deploy.features import CASES
from tests.deploy.rendering import CHART, Rendered, merged, render, render_anew
from tests.deploy.validation import CUSTOM, VERSIONS, complaints


@pytest.fixture(scope="module", params=CASES)
def rendered(request) -> Rendered:
    return render(CASES[request.param])


def test_versions_of_kubernetes_reach_from_the_oldest_to_the_newest():
    assert VERSIONS[0].startswith("1.30.") and len(VERSIONS) >= 8


def test_every_object_is_valid_for_every_version(rendered):
    own = [found for found in rendered.objects if not found["apiVersion"].startswith(CUSTOM)]
    assert own
    for version in VERSIONS:
        assert [complaint for found in own for complaint in complaints(found, version)] == [], version


def test_unknown_key_is_a_complaint():
    service = render_anew().the("Service", "adql-replay")
    service["spec"]["ports"][0]["nodeport"] = 1
    assert complaints(service, VERSIONS[-1]) != []


def test_no_two_objects_have_the_same_name(rendered):
    names = [(found["kind"], found["metadata"]["name"]) for found in rendered.objects]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("feature", CASES)
def test_helm_lint_has_nothing_against_the_chart(feature):
    report = helm_python.lint(CHART, CASES[feature], strict=True, namespace="training")
    assert report["errors"] == [] and [one for one in report["messages"] if one["severity"] >= 2] == []


@pytest.mark.parametrize("feature", [name for name in CASES if CASES[name]])
def test_every_feature_makes_a_difference(feature):
    known = {"auth": {"existingSecret": "tokens"}, "valkey": {"existingSecret": "store"}}
    assert render(merged(known, CASES[feature])).objects != render(known).objects
