"""Wires the controller: looks at the run and the Deployment again and again, until it is asked to end."""

from contextlib import closing

from adql.config import ControllerSettings
from adql.errors import InputError
from adql.telemetry import metrics
from adql_services.cluster.api import Cluster
from adql_services.controller.loop import Controller
from adql_services.controller.sources import Sources
from adql_services.runtime.worker import Worker, run_worker


def run(settings: ControllerSettings) -> int:
    """Controls until asked to end. Returns the exit code."""
    return run_worker(
        "controller", settings, settings.side, lambda worker: _work(settings, worker), metrics.CONTROLLER_PAGE
    )


def _work(settings: ControllerSettings, worker: Worker) -> None:
    cluster = _cluster(settings)
    with closing(Sources(settings)) as sources:
        controller, ready = Controller(cluster, sources, settings, worker), False
        while worker.goes_on():
            if controller.round() and not ready:
                worker.ready()
                ready = True
            worker.sleep(settings.interval_seconds)


def _cluster(settings: ControllerSettings) -> Cluster:
    try:
        return Cluster.of_pod(settings.namespace)
    except InputError as error:
        raise InputError(
            f"{error}; the chart runs the controller in a pod that has access, with controller.enabled=true"
        ) from None
