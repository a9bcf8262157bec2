"""A release on an API server in memory: installed, upgraded and rolled back by Helm's own SDK."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import helm_python

from tests.deploy.api_server import ApiServer, serving
from tests.deploy.rendering import CHART, NAMESPACE, Object, Rendered, loaded, merged, objects_in, values_of

SMALL = values_of("networkPolicy.enabled=false", "evaluator.enabled=false") | {
    section: {"podDisruptionBudget": {"enabled": False}}
    for section in ("parameterServer", "replay", "valkey", "learner")
}
"""Half of the objects, which is half of the time."""


class Release:
    """The release adql and the server that it lives on."""

    def __init__(self, server: ApiServer, chart: Path = CHART) -> None:
        self.server = server
        self._chart = loaded(chart)
        self._helm = helm_python.Config(
            kubeconfig_content=server.kubeconfig,
            namespace=NAMESPACE,
            storage_driver="memory",
            qps=1000,
            burst_limit=1000,
        )

    def install(self, *assignments: str, **values: Any) -> Rendered:
        """``helm install adql charts/adql --set …``."""
        return _rendered(self._helm.install(self._chart, "adql", merged(SMALL, values_of(*assignments), values)))

    def upgrade(self, *assignments: str, **values: Any) -> Rendered:
        """``helm upgrade adql charts/adql --set …``: what is not set is at its default."""
        return _rendered(self._helm.upgrade(self._chart, "adql", merged(SMALL, values_of(*assignments), values)))

    def rollback(self, version: int) -> None:
        """``helm rollback adql VERSION``."""
        self._helm.rollback("adql", version=version)

    @property
    def learners(self) -> Object:
        """The live Deployment of the learners."""
        return self.server.get("Deployment", "adql-learner")

    @property
    def replicas(self) -> int:
        """How many learners are wanted."""
        return int(self.learners["spec"]["replicas"])

    def scale(self, replicas: int, component: str = "learner") -> None:
        """``kubectl scale deployment adql-learner --replicas=…``."""
        self.server.scale(f"adql-{component}", replicas)

    def close(self) -> None:
        """Lets go of the connection."""
        self._helm.close()


@contextmanager
def fresh(chart: Path = CHART) -> Iterator[Release]:
    """A release that is not installed yet, on an empty server."""
    with serving() as server:
        release = Release(server, chart)
        try:
            yield release
        finally:
            release.close()


def _rendered(release: dict[str, Any]) -> Rendered:
    return Rendered(objects_in(release["manifest"]), release.get("notes") or "")
