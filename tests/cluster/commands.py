"""The commands that people type at a cluster, as objects: kubectl, Helm 3 and 4, docker."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHART = str(ROOT / "charts/adql")
COMMAND_SECONDS = 300
OF_A_TRAINING = {
    "run.yaml", "command.txt", "summary.json", "evaluations.csv", "episodes.csv", "progress.csv", "report.html",
    "policy-best.safetensors", "policy-last.safetensors", "watermark", "checkpoints", "store", "replay", "logs",
}  # fmt: skip
"""What is in the folder that `adql train` makes."""


def run(*words: str, check: bool = True, seconds: float = COMMAND_SECONDS, text: str = "") -> str:
    """Returns what a command printed; a failure shows it with what was printed on stderr."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, cwd=ROOT, input=text)
    assert not check or done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def load_into_cluster(*names: str) -> None:
    """Gives images of the engine to the cluster."""
    run(*shlex.split(os.environ.get("CLUSTER_LOAD", "kind load docker-image")), *names, seconds=600)


def fails(*words: str, seconds: float = COMMAND_SECONDS) -> str:
    """Returns what a command that must fail says."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, cwd=ROOT)
    assert done.returncode != 0, f"{' '.join(words)} succeeded\n{done.stdout}"
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    namespace: str

    def __call__(self, *words: str, check: bool = True, seconds: float = COMMAND_SECONDS, text: str = "") -> str:
        return run("kubectl", "--namespace", self.namespace, *words, check=check, seconds=seconds, text=text)

    def get(self, *words: str) -> Any:
        """Returns objects as Kubernetes tells them."""
        return json.loads(self("get", *words, "--output", "json"))

    def pods(self, component: str | None = None, release: str = "adql") -> list[Any]:
        """Returns the pods of a release that are not being deleted."""
        labels = f"app.kubernetes.io/instance={release}"
        labels += f",app.kubernetes.io/component={component}" if component else ""
        found = self.get("pods", "--selector", labels)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@dataclass(frozen=True)
class Helm:
    """Helm of one major version in one namespace."""

    binary: str
    namespace: str

    def __call__(self, *words: str, check: bool = True) -> str:
        return run(self.binary, "--namespace", self.namespace, *words, check=check)

    def refuses(self, *words: str) -> str:
        """Returns what Helm says to words that must fail."""
        return fails(self.binary, "--namespace", self.namespace, *words)

    def install(self, *words: str, release: str = "adql") -> str:
        """Installs the chart with the images of this checkout, and waits until all is ready."""
        return self("install", release, CHART, "--wait", "--timeout", "3m", *images(), *words)

    def upgrade(self, *words: str, release: str = "adql") -> str:
        """Upgrades to the chart of this checkout with the values that the release has."""
        return self("upgrade", release, CHART, "--reset-then-reuse-values", "--wait", "--timeout", "3m", *words)


TAG = f"test-{int(time.time())}"
"""Of the images under test. A node keeps what it has pulled: no other images may ever have been called like them."""


def images() -> Sequence[str]:
    """Returns the words that choose the images of this checkout."""
    return ("--set", f"image.tag={TAG}")
