"""`helm install` with default values trains CartPole to its goal, says so, rests, and goes without a trace."""

import pytest

from tests.cluster.commands import CHART, Helm, images
from tests.cluster.release import NEVER, Release, install

IDLE_SECONDS = 20.0
MAX_IDLE_SHARE = 0.02
"""Of one core, of each learner."""
CPU_SECONDS = """
import os
from pathlib import Path
ticks = sum(
    sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    for pid in os.listdir("/proc") if pid.isdigit() and pid != str(os.getpid())
)
print(ticks / os.sysconf("SC_CLK_TCK"))
"""


def cpu_seconds(release, pod):
    return float(release.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", CPU_SECONDS))


def is_over(release):
    return release.run().get("state", {}).get("status") == "reached"


def test_default_values_reach_the_goal_and_rest(helm):
    release = install(helm)
    release.wait_until(lambda: is_over(release), 240)
    reached = release.run()["evaluations"]["reached"]
    assert reached["mean"] >= 475
    assert "Succeeded" in helm("test", "adql")
    if helm.binary == "helm":  # Helm 3 looks for the logs when it has deleted the pod
        said = helm("test", "adql", "--logs")
        assert all(f" {done} " in said for done in ("pushed", "pulled", "inserted", "sampled")), said
    assert not release.kubectl.pods("test"), "the test pod is still there"

    rests(release)
    helm("uninstall", "adql", "--wait")
    leaves_only_claims(release)


def rests(release):
    """Learners of a run that is over wait without spending the processor, and nothing starts again."""
    learners = release.pods("learner")
    assert len(learners) == 2
    before = {pod["metadata"]["name"]: cpu_seconds(release, pod) for pod in learners}
    release.kubectl("wait", "--for=condition=Ready=false", "pod", *before, f"--timeout={IDLE_SECONDS:g}s", check=False)
    for pod in learners:
        spent = cpu_seconds(release, pod) - before[pod["metadata"]["name"]]
        assert spent / IDLE_SECONDS < MAX_IDLE_SHARE
    release.wait_ready(None, 6)
    assert release.restarts() == 0


def leaves_only_claims(release):
    """A release that was uninstalled."""
    ours = "app.kubernetes.io/instance=adql"
    release.kubectl("wait", "--for=delete", "pod", "--selector", ours, "--timeout=90s")
    kinds = (
        "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets,pods"
    )
    left = release.kubectl.get(kinds, "--selector", ours)["items"]
    assert [one["metadata"]["name"] for one in left] == []
    claims = {claim["metadata"]["name"] for claim in release.kubectl.get("pvc")["items"]}
    assert claims == {"data-adql-parameter-server-0", "data-adql-replay-0", "data-adql-valkey-0"}


def test_eight_learners_and_all_else_are_scheduled(kubectl):
    release = install(Helm("helm", kubectl.namespace), *NEVER)
    release.scale(8)
    release.wait_ready("learner", 8)
    release.wait_until(lambda: release.learners() == 8, 120)
    assert len(release.pods()) == 12
    assert release.restarts() == 0


def test_new_name_is_a_new_run_and_another_discount_under_an_old_one_is_refused(kubectl):
    helm = Helm("helm", kubectl.namespace)
    release = install(helm, *NEVER)
    release.wait_for_progress()
    first, version = release.run(), release.version()
    helm.upgrade("--set", "run.run.name=second")
    release.wait_for_progress()
    assert release.run()["name"] == "second"

    words = ("upgrade", "adql", CHART, "--reset-then-reuse-values", "--set")
    helm(*words, "run.run.name=adql,run.algorithm.gamma=0.5")  # of what is not the live run the server alone knows
    said = release.wait_until(lambda: refusal(release), 120)
    assert "another configuration" in said or "configuration differs" in said
    helm(*words, "run.algorithm.gamma=0.99")
    release.wait_ready(None, 6)
    assert release.run()["started_at"] == first["started_at"]
    assert release.version() >= version

    assert "run.algorithm.gamma was 0.99, now 0.5" in helm.refuses(*words, "run.algorithm.gamma=0.5")
    release.wait_ready(None, 6)


def refusal(release):
    """What the parameter server said when it ended."""
    said = release.kubectl("logs", f"{release.prefix}-parameter-server-0", check=False)
    return said if "differs" in said or "another configuration" in said else ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "learner.replicas=3"), "replicas"),
        (("--set", "run.replay.capcity=3"), "capcity"),
        (("--set", "valkey.enabled=false"), "redis.external.url"),
        (("--set", "run.network.kind=nature"), "adql/learner-torch"),
        (("--set", "run.algorithm.gamma=2"), "gamma"),
    ],
)
def test_wrong_values_are_refused(helm, words, said):
    assert said in helm.refuses("install", "adql", CHART, *images(), *words)
    assert helm("list", "--short") == ""


def test_releases_in_one_namespace_leave_each_other_alone(kubectl):
    helm = Helm("helm", kubectl.namespace)
    one, other = (install(helm, *NEVER, "--set", "learner.replicaCount=1", release=name) for name in ("one", "other"))
    other.wait_for_progress()
    pods = other.uids()
    helm("uninstall", "one", "--wait")
    one.wait_until(lambda: not one.pods(), 90)
    assert other.uids() == pods
    other.wait_for_progress()
    assert other.restarts() == 0


def test_release_uses_a_store_of_somebody_else(kubectl):
    helm = Helm("helm", kubectl.namespace)
    install(helm, *NEVER, "--set", "learner.replicaCount=0,evaluator.enabled=false", release="store")
    url, secret = "redis://adql@store-adql-valkey:6379/0", "store-adql-valkey"
    external = (
        f"valkey.enabled=false,redis.external.url={url},redis.external.existingSecret={secret},run.run.name=guest"
    )
    guest = install(helm, *NEVER, "--set", external, release="guest")
    guest.wait_for_progress()
    assert not guest.pods("valkey")
    assert Release(kubectl, "store").restarts() == 0
