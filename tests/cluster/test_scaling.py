"""What `kubectl scale` set survives upgrades, with Helm 3, with Helm 4, and from the one to the other."""

import pytest

from tests.cluster.commands import CHART, Helm, images
from tests.cluster.release import NEVER, Release, install
from tests.waiting import wait_until

SETTINGS = (*NEVER, "--set", "evaluator.enabled=false")


@pytest.fixture
def release(helm):
    return install(helm, *SETTINGS)


def test_scaled_learners_survive_upgrades(helm, release):
    assert release.replicas() == 2
    release.wait_for_progress()
    release.scale(6)
    release.wait_ready("learner", 6)
    wait_until(lambda: release.learners() == 6, 60, release.story)
    before, pods = release.version(), release.uids()
    helm.upgrade()
    assert release.replicas() == 6
    assert release.uids() == pods, "an upgrade without a change replaced a pod"
    assert release.restarts() == 0
    assert release.version() > before

    release.scale(0)
    wait_until(lambda: not release.pods("learner"), 60, release.story)
    wait_until(lambda: release.learners() == 0, 60, release.story)
    stood_at = release.version()
    helm.upgrade()
    assert release.replicas() == 0
    assert release.version() == stood_at
    assert release.restarts() == 0

    release.scale(3)
    release.wait_ready("learner", 3)
    release.wait_for_progress()
    assert release.version() > stood_at


def test_upgrade_with_another_count_sets_it(helm, release):
    helm.upgrade("--set", "learner.replicaCount=4")
    assert release.replicas() == 4
    helm.upgrade()
    assert release.replicas() == 4


def test_another_count_after_a_scale_is_told_apart(helm, release):
    """Helm 4 says who else set the field; the way out that NOTES name works."""
    release.scale(1)
    words = ("upgrade", "adql", CHART, "--reset-then-reuse-values", "--set", "learner.replicaCount=3")
    if helm.binary == "helm":
        assert 'conflict with "kubectl"' in helm.refuses(*words)
        assert release.replicas() == 1
        helm(*words, "--force-conflicts")
    else:
        helm(*words)
    assert release.replicas() == 3


def test_rollback_applies_the_recorded_count(helm, release):
    release.scale(1)
    helm.upgrade("--set", "logFormat=json")
    assert release.replicas() == 1
    if helm.binary == "helm":
        assert 'conflict with "kubectl"' in helm.refuses("rollback", "adql", "1")
        helm("rollback", "adql", "1", "--force-conflicts")
    else:
        helm("rollback", "adql", "1")
    assert release.replicas() == 2


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
