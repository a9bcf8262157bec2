"""What `kubectl scale` set survives upgrades, with Helm 3, with Helm 4, and from the one to the other."""

import json

import pytest

from tests.cluster.commands import CHART, Helm, images
from tests.cluster.conftest import new_namespace
from tests.cluster.release import NEVER, Release, install

SETTINGS = (*NEVER, "--set", "evaluator.enabled=false")


FORCE = {"helm": ("--force-conflicts",), "helm3": ()}


def test_scaled_learners_survive_upgrades(helm):
    release = install(helm, *SETTINGS)
    assert release.replicas() == 2
    release.wait_for_progress()
    release.scale(6)
    release.wait_ready("learner", 6)
    release.wait_until(lambda: release.learners() == 6, 60)
    before, pods = release.version(), release.uids()
    helm.upgrade()
    assert release.replicas() == 6
    assert release.uids() == pods, "an upgrade without a change replaced a pod"
    assert release.restarts() == 0
    assert release.version() > before

    release.scale(0)
    release.wait_until(lambda: not release.pods("learner"), 60)
    release.wait_until(lambda: release.learners() == 0, 60)
    stood_at = release.version()
    helm.upgrade()
    assert release.replicas() == 0
    assert release.version() == stood_at
    assert release.restarts() == 0

    release.scale(3)
    release.wait_ready("learner", 3)
    release.wait_for_progress()
    assert release.version() > stood_at


@pytest.fixture(scope="module", params=FORCE)
def installed(request, cluster):
    """A release and the Helm that installed it."""
    with new_namespace() as kubectl:
        helm = Helm(request.param, kubectl.namespace)
        yield helm, install(helm, *SETTINGS)


@pytest.fixture
def two(installed):
    """Helm and its release with two learners, a number that Helm alone has set."""
    helm, release = installed
    for count in (3, 2):
        words = ("upgrade", "adql", CHART, "--reset-then-reuse-values", "--set", f"learner.replicaCount={count}")
        helm(*words, *FORCE[helm.binary])
    assert release.replicas() == 2
    return helm, release


def test_upgrade_with_another_count_sets_it(two):
    helm, release = two
    helm.upgrade("--set", "learner.replicaCount=4")
    assert release.replicas() == 4
    helm.upgrade()
    assert release.replicas() == 4


def test_another_count_after_a_scale_is_told_apart(two):
    """Helm 4 says who else set the field; the way out that NOTES name works."""
    helm, release = two
    release.scale(1)
    words = ("upgrade", "adql", CHART, "--reset-then-reuse-values", "--set", "learner.replicaCount=3")
    if helm.binary == "helm":
        assert 'conflict with "kubectl"' in helm.refuses(*words)
        assert release.replicas() == 1
    helm(*words, *FORCE[helm.binary])
    assert release.replicas() == 3


def test_rollback_applies_the_recorded_count(two):
    helm, release = two
    recorded = revision(helm)
    release.scale(1)
    helm.upgrade("--set", "logFormat=json")
    assert release.replicas() == 1
    if helm.binary == "helm":
        assert 'conflict with "kubectl"' in helm.refuses("rollback", "adql", recorded)
        assert release.replicas() == 1
    helm("rollback", "adql", recorded, *FORCE[helm.binary])
    assert release.replicas() == 2


def revision(helm):
    """The newest of the release, for ``helm rollback``."""
    return str(json.loads(helm("status", "adql", "--output", "json"))["version"])


def test_upgrade_that_fails_and_rolls_itself_back_applies_the_recorded_count(two):
    helm, release = two
    recorded = revision(helm)
    fails = "image.learner.tag=nowhere,evaluator.enabled=true"  # Helm 3 waits for no learner that may be missing
    words = ("upgrade", "adql", CHART, "--reset-then-reuse-values", "--set", fails, "--timeout=9s")
    rolls_back = {"helm": ("--rollback-on-failure", "--force-conflicts"), "helm3": ("--atomic",)}
    release.scale(1)
    helm.refuses(*words, *rolls_back[helm.binary])
    assert release.replicas() == 2
    if helm.binary == "helm":
        release.scale(1)
        assert 'conflict with "kubectl"' in helm.refuses(*words, "--rollback-on-failure")
        assert release.replicas() == 1
        helm("rollback", "adql", recorded, "--force-conflicts")
        assert release.replicas() == 2
    release.wait_ready("learner", 2)


def test_count_that_the_chart_never_says_is_kept_by_upgrade_and_rollback(helm):
    release = install(helm, *SETTINGS, "--set", "learner.replicaCount=null")
    assert release.replicas() == 1  # Kubernetes' own default
    release.scale(2)
    helm.upgrade("--set", "logFormat=json")
    assert release.replicas() == 2
    helm("rollback", "adql", "1")
    assert release.replicas() == 2


def test_release_of_helm_3_is_upgraded_by_helm_4(kubectl):
    helm3, helm4 = Helm("helm3", kubectl.namespace), Helm("helm", kubectl.namespace)
    helm3("upgrade", "--install", "adql", CHART, "--wait", *images(), *SETTINGS)
    release = Release(kubectl)
    release.scale(1)
    pods = release.uids()
    helm4.upgrade()
    assert release.replicas() == 1
    assert release.uids() <= pods
