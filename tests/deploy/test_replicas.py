"""How many learners an install, an upgrade and a rollback ask for, before and after `kubectl scale`."""

import helm_python
import pytest

from tests.deploy.copies import with_bug
from tests.deploy.features import FEATURES
from tests.deploy.releases import Release, fresh
from tests.deploy.rendering import Rendered, merged, render, values_of

ANNOTATION = "adql/replica-count"
UNSET = ({"learner": {"replicaCount": None}}, {"autoscaling": {"enabled": True}}, FEATURES["controller"])


def field(rendered: Rendered) -> int | None:
    """The rendered count, None where the field is not rendered."""
    count: int | None = rendered.component("learner")["spec"].get("replicas")
    return count


def test_first_install_renders_the_count_and_an_annotation_that_holds_it(release: Release):
    assert field(release.install("learner.replicaCount=3")) == 3
    assert release.learners["metadata"]["annotations"][ANNOTATION] == "3" and release.replicas == 3


def test_first_install_may_ask_for_no_learner(release: Release):
    assert field(release.install("learner.replicaCount=0")) == 0 and release.replicas == 0


@pytest.mark.parametrize("unset", UNSET)
def test_field_is_never_rendered_where_others_set_the_count(release: Release, unset):
    assert field(release.install(**unset)) is None
    release.scale(6)
    assert field(release.upgrade(**unset)) is None and release.replicas == 6
    assert ANNOTATION not in release.learners["metadata"].get("annotations", {})
    release.rollback(1)
    assert release.replicas == 6


@pytest.mark.parametrize("live", [6, 1, 0])
def test_upgrade_keeps_the_count_that_kubectl_set(release: Release, live: int):
    release.install()
    release.scale(live)
    for _ in range(2):
        assert field(release.upgrade("logFormat=json")) == live and release.replicas == live
    assert release.learners["metadata"]["annotations"][ANNOTATION] == "2"


def test_upgrade_does_not_change_the_pods_that_kubectl_scaled(release: Release):
    before = release.install()
    release.scale(6)
    assert release.upgrade().component("learner")["spec"]["template"] == before.component("learner")["spec"]["template"]


@pytest.mark.parametrize("unset", UNSET)
@pytest.mark.parametrize("live", [5, 0])
def test_field_that_was_rendered_once_is_rendered_again_in_every_mode(release: Release, unset, live: int):
    release.install()
    release.scale(live)
    for _ in range(2):
        assert field(release.upgrade(**unset)) == live and release.replicas == live


def test_new_count_wins(release: Release):
    release.install()
    assert field(release.upgrade("learner.replicaCount=4")) == 4 and release.replicas == 4
    assert field(release.upgrade("learner.replicaCount=0")) == 0 and release.replicas == 0
    assert release.learners["metadata"]["annotations"][ANNOTATION] == "0"


def test_new_count_meets_that_of_kubectl_and_a_next_scale_settles_it(release: Release):
    release.install()
    release.scale(6)
    with pytest.raises(helm_python.HelmError, match="conflict with"):
        release.upgrade("learner.replicaCount=4")
    release.scale(4)
    assert field(release.upgrade("learner.replicaCount=4")) == 4 and release.replicas == 4


def test_count_set_to_what_it_was_first_is_kept_as_it_is_live(release: Release):
    release.install("learner.replicaCount=2")
    release.scale(6)
    assert field(release.upgrade("learner.replicaCount=2")) == 6 and release.replicas == 6


def test_actors_are_counted_by_the_same_law_whoever_sets_the_learners(release: Release):
    def actors(rendered: Rendered) -> int | None:
        return rendered.component("actor")["spec"].get("replicas")

    values = merged(FEATURES["actors"], FEATURES["controller"])
    assert actors(release.install(**values)) == 4
    release.scale(0, "actor")
    assert actors(release.upgrade(**values)) == 0
    release.scale(6, "actor")
    assert actors(release.upgrade(**values)) == 6
    assert actors(render(merged(FEATURES["actors"], values_of("actor.replicaCount=null")))) is None


def test_rollback_applies_the_recorded_count(release: Release):
    release.install("learner.replicaCount=2")
    release.upgrade("learner.replicaCount=5")
    release.rollback(1)
    assert release.replicas == 2


def test_templates_without_a_cluster_render_the_value_or_nothing():
    assert field(render()) == 2
    assert [field(render(unset)) for unset in UNSET] == [None] * 3


@pytest.mark.parametrize(
    ("file", "right", "wrong", "live"),
    [
        ("_replicas.tpl", '"annotations" "adql/replica-count" "" $live', '"annotations" "adql/replica" "" $live', 6),
        (
            "_replicas.tpl",
            "replicas: {{ $live.spec.replicas | int }}",
            "replicas: {{ $live.spec.replicas | default 2 }}",
            0,
        ),
        ("_replicas.tpl", '{{- else if ne $rendered "" -}}', '{{- else if and (not $unset) (ne $rendered "") -}}', 6),
    ],
)
def test_planted_bug_loses_the_count(tmp_path, file: str, right: str, wrong: str, live: int):
    with fresh(with_bug(tmp_path, f"templates/{file}", right, wrong)) as release:
        release.install()
        release.scale(live)
        try:
            kept = field(release.upgrade(**UNSET[0])) == live and field(release.upgrade()) == live
        except helm_python.HelmError:
            kept = False
        assert not kept
