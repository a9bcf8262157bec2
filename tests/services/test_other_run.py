"""A server that comes back with another run of the same name: what was learned for the former one is not told to it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adql.config import EvaluatorSettings, RunSpecification, child_environment, specification_from, to_yaml
from adql.errors import OtherRunError
from adql.wire import routes
from adql.wire.evaluation_client import EvaluationResult, EvaluationTask
from tests.parameters.servers import tiny_specification
from tests.services import side_port
from tests.services.learner_process import running
from tests.services.metrics_page import scrape
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import push
from tests.store_process import running_store
from tests.waiting import wait_until

pytestmark = pytest.mark.system
RUN = specification_from(
    {
        "environment": {"signature": {"observation_shape": [4], "actions": 2}},
        "network": {"hidden": [16]},
        "algorithm": {"batch_size": 8},
        "replay": {"min_size": 100, "samples_per_insert": None},
    }
)


@pytest.mark.parametrize("role", ["both", "actor"])
def test_learner_drops_what_it_has_and_takes_part_in_the_other_run(tmp_path, redis_url, role):
    with running(tmp_path, redis_url, RUN, "swapped") as services, services.start(role) as learner:
        learner.until_ready()
        wait_until(lambda: services.state["environment_steps"] > 500)
        before, former = services.state, services.server
        with in_place_of(former, tmp_path / "other", former.specification) as other:
            wait_until(lambda: other.get(routes.RUN)["state"]["environment_steps"] > 500, what=learner.log)
            assert other.get(routes.RUN)["state"]["run_id"] != before["run_id"]
            assert scrape(learner.side).value("adql_run_changes_total") == 1
            assert "another run: what was done for the former one is dropped" in learner.log()
            assert learner.end() == 0


def first_task(server: ServerProcess) -> EvaluationTask:
    """Makes the run's first evaluation due, and takes it."""
    client, evaluator = server.client(), server.evaluator()
    client.register()
    for _ in range(5):
        push(client)
    task = evaluator.next(wait_seconds=10)
    client.close(), evaluator.close()
    return task


@contextmanager
def evaluator_process(directory: Path, server: ServerProcess) -> Iterator[subprocess.Popen]:
    file, side = directory / "run.yaml", f"unix:{directory}/evaluator.sock"
    file.write_text(to_yaml(server.specification))
    settings = EvaluatorSettings(side=side, parameter_server_url=server.listen, auth=False)
    command = [sys.executable, "-m", "adql_services.cli", "evaluator", str(file)]
    with (directory / "evaluator.log").open("wb") as log:
        process = subprocess.Popen(command, env=child_environment(settings), stderr=log)
    try:
        wait_until(lambda: side_port.probe(side) == 200, what=(directory / "evaluator.log").read_text)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def in_place_of(former: ServerProcess, directory: Path, specification: RunSpecification) -> Iterator[ServerProcess]:
    """Another run of the same name at the same address."""
    former.kill()
    shutil.rmtree(former.directory / "volume")
    with running_store(directory) as store, ServerProcess(former.directory, specification, store.url) as other:
        yield other


def test_report_of_episodes_that_were_played_for_another_run_is_refused(tmp_path, redis_url):
    run = tiny_specification(run={"name": "reported"})
    with ServerProcess(tmp_path / "server", run, redis_url) as server:
        task, evaluator = first_task(server), server.evaluator()
        evaluator.next()
        result = EvaluationResult(task.id, task.parameters.version, [1e9, 1e9], [1, 1], None, 0.1)
        with in_place_of(server, tmp_path / "other", run) as other:
            first_task(other)
            with pytest.raises(OtherRunError, match="this server has"):
                evaluator.report(result)
            assert other.get(routes.EVALUATIONS) == []
        evaluator.close()


def test_evaluator_takes_part_in_the_other_run(tmp_path, redis_url):
    run = RUN.model_copy(update={"run": RUN.run.model_copy(update={"name": "evaluated"})})
    with ServerProcess(tmp_path / "server", run, redis_url) as server, evaluator_process(tmp_path, server) as process:
        with in_place_of(server, tmp_path / "other", run):
            wait_until(
                lambda: scrape(f"unix:{tmp_path}/evaluator.sock").value("adql_run_changes_total") == 1,
                what=(tmp_path / "evaluator.log").read_text,
            )
            process.terminate()
            assert process.wait(10) == 0


def test_evaluator_of_another_configuration_than_the_other_run_ends_as_at_its_start(tmp_path, redis_url):
    run = RUN.model_copy(update={"run": RUN.run.model_copy(update={"name": "configured"})})
    algorithm = run.algorithm.model_copy(update={"gamma": run.algorithm.gamma / 2})
    with ServerProcess(tmp_path / "server", run, redis_url) as server, evaluator_process(tmp_path, server) as process:
        with in_place_of(server, tmp_path / "other", run.model_copy(update={"algorithm": algorithm})):
            assert process.wait(30) == 2
    said = (tmp_path / "evaluator.log").read_text().splitlines()[-1]
    assert (
        f"configuration differs from this run's: algorithm.gamma is {algorithm.gamma} there, 0.99 here; start" in said
    )
