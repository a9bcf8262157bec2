"""A release of the chart as its users see it: how the run goes, which pods there are."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.cluster.commands import Helm, Kubectl
from tests.waiting import wait_until

T = TypeVar("T")

NEVER = ("--set", "run.training.goal=501", "--set", "run.training.environment_steps=100000000")
"""CartPole's return is 500 at most: a run that no test outlives."""
POLL_SECONDS = 0.5
"""A question is a process or two: to ask without a pause would take the time of those who train."""
ASK = """
import json, urllib.request
from adql.config import ParameterServerSettings, load_settings
from adql.wire import routes
from adql_services.runtime.tokens import Tokens
token = Tokens.of(load_settings(ParameterServerSettings)).all()[0]
request = urllib.request.Request("http://127.0.0.1:8420" + routes.RUN, headers={"Authorization": f"Bearer {token}"})
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


@dataclass(frozen=True)
class Release:
    """A release that is installed."""

    kubectl: Kubectl
    name: str = "adql"

    @property
    def prefix(self) -> str:
        """What the names of its objects begin with."""
        return self.name if "adql" in self.name else f"{self.name}-adql"

    def run(self) -> Any:
        """Returns what the parameter server tells of the run, {} while it does not answer."""
        words = ("exec", f"{self.prefix}-parameter-server-0", "--", "python", "-c", ASK)
        answer = self.kubectl(*words, check=False)
        return json.loads(answer) if answer.startswith("{") else {}

    def version(self) -> int:
        """Returns the version of the parameters; waits for a server that answers."""
        return int(self.wait_until(self.run, 120)["state"]["version"])

    def learners(self) -> int:
        """Returns how many live sessions push."""
        return len([one for one in self.run().get("sessions", []) if one["role"] != "actor"])

    def pods(self, component: str | None = None) -> list[Any]:
        """Returns its pods that are not being deleted."""
        return self.kubectl.pods(component, self.name)

    def selector(self, component: str) -> str:
        """Returns what selects the pods of a component."""
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"

    def uids(self, component: str | None = None) -> set[str]:
        """Returns which pods there are."""
        return {pod["metadata"]["uid"] for pod in self.pods(component)}

    def restarts(self) -> int:
        """Returns how often a container of its pods was started again."""
        return sum(status["restartCount"] for pod in self.pods() for status in pod["status"]["containerStatuses"])

    def is_ready(self, component: str | None, count: int) -> bool:
        """Whether a component has so many pods, all of them ready."""
        pods = self.pods(component)
        return len(pods) == count and all(condition(pod, "Ready") for pod in pods)

    def wait_until(self, condition: Callable[[], T], seconds: float) -> T:
        """Returns what ``condition`` returns as soon as that is true; fails after ``seconds`` with the story."""
        return wait_until(condition, seconds, self.story, every=POLL_SECONDS)

    def wait_ready(self, component: str | None, count: int, seconds: float = 180) -> None:
        """Waits until a component has so many ready pods."""
        self.wait_until(lambda: self.is_ready(component, count), seconds)

    def wait_for_progress(self, seconds: float = 180) -> None:
        """Waits until ten more updates were applied."""
        before = self.version()
        self.wait_until(lambda: self.version() > before + 10, seconds)

    def scale(self, learners: int) -> None:
        """Does what people type."""
        self.kubectl("scale", f"deployment/{self.prefix}-learner", f"--replicas={learners}")

    def replicas(self) -> int:
        """Returns how many learners are asked for."""
        return int(self.kubectl.get(f"deployment/{self.prefix}-learner")["spec"]["replicas"])

    def story(self) -> str:
        """What to read when something did not come about."""
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)
        logs = self.kubectl(
            "logs", "--selector=app.kubernetes.io/part-of=adql", "--all-containers", "--tail=5", check=False
        )
        return f"{self.kubectl('get', 'pods', check=False)}\n{events[-3_000:]}\n{logs[-3_000:]}"


def condition(pod: Any, kind: str) -> bool:
    """Returns whether a condition of a pod is true."""
    return any(one["type"] == kind and one["status"] == "True" for one in pod["status"].get("conditions", []))


def install(helm: Helm, *words: str, release: str = "adql") -> Release:
    """Installs the chart and waits until everything is ready."""
    helm.install(*words, release=release)
    return Release(Kubectl(helm.namespace), release)
