"""Measures a release with default values on the cluster of KUBECONFIG; prints one JSON line a figure.

``python -m tests.cluster.figures_release TAG``: images ``adql/service:TAG`` and ``adql/learner:TAG`` are there already.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.commands import CHART, Helm, Kubectl, run
from tests.cluster.release import NEVER, Release
from tests.waiting import wait_until

COMPONENTS = ("parameter-server", "replay", "valkey", "learner", "evaluator")
NAMESPACE = "adql-figures"
WINDOW_SECONDS = 20.0
MOST_SECONDS = 600.0
"""Of anything that is waited for."""


def say(**figures: Any) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def seconds_until(condition: Callable[[], Any], since: float) -> float:
    wait_until(condition, MOST_SECONDS)
    return round(time.monotonic() - since, 1)


def usage(kubectl: Kubectl) -> dict[str, tuple[float, float]]:
    """Returns CPU seconds and the working set in MiB of each pod, as its kubelet counts them."""
    node = kubectl.get("pods")["items"][0]["spec"]["nodeName"]
    pods = json.loads(run("kubectl", "get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))["pods"]
    return {
        pod["podRef"]["name"]: (pod["cpu"]["usageCoreNanoSeconds"] / 1e9, pod["memory"]["workingSetBytes"] / 2**20)
        for pod in pods
        if pod["podRef"]["namespace"] == kubectl.namespace
    }


def say_usage(kubectl: Kubectl, while_: str) -> None:
    time.sleep(WINDOW_SECONDS)  # a kubelet counts every 10 s or so: nothing of before may be in it
    begun, before = time.monotonic(), usage(kubectl)
    time.sleep(WINDOW_SECONDS)
    seconds, after = time.monotonic() - begun, usage(kubectl)
    for name in sorted(before.keys() & after.keys()):
        share = (after[name][0] - before[name][0]) / seconds
        say(figure="usage", pod=name, while_=while_, core_percent=round(100 * share, 2), mib=round(after[name][1]))


def say_times_to_the_goal(release: Release, tag: str) -> None:
    begun = time.monotonic()
    Helm("helm", NAMESPACE)("install", "adql", CHART, "--set", f"image.tag={tag}")
    first = seconds_until(lambda: release.run().get("state", {}).get("version"), begun)
    goal = seconds_until(lambda: release.run().get("state", {}).get("status") == "reached", begun)
    say(figure="install", first_update_seconds=first, goal_seconds=goal)


def say_times_after_deletion(release: Release) -> None:
    for component in COMPONENTS:
        say(figure="deletion", component=component, **seconds_after_deletion(release, component))


def seconds_after_deletion(release: Release, component: str) -> dict[str, float]:
    """Returns when the next pod was there, when it was ready, and when a newer version than before was."""
    version, pods, begun = release.version(), release.uids(component), time.monotonic()
    release.kubectl("delete", "pod", "--selector", release.selector(component), "--wait=false")
    return {
        "replaced": seconds_until(lambda: release.uids(component) and not release.uids(component) & pods, begun),
        "ready": seconds_until(lambda: release.is_ready(component, len(pods)), begun),
        "newer_version": seconds_until(lambda: release.run().get("state", {}).get("version", 0) > version, begun),
    }


def main() -> None:
    tag = sys.argv[1]
    kubectl = Kubectl(NAMESPACE)
    release = Release(kubectl)
    run("kubectl", "create", "namespace", NAMESPACE)
    try:
        say_times_to_the_goal(release, tag)
        say_usage(kubectl, "idle")
        Helm("helm", NAMESPACE).upgrade(*NEVER, "--set", "run.run.name=forever")
        release.wait_for_progress()
        say_usage(kubectl, "training")
        say_times_after_deletion(release)
    finally:
        run("kubectl", "delete", "namespace", NAMESPACE, "--wait", "--timeout=120s")


if __name__ == "__main__":
    main()
