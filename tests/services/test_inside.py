"""What `adql k8s` asks for inside the parameter server's container, from a server that is at work."""

import io
import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from adql.bundle import read_bundle
from adql.config import ParameterServerSettings
from adql.errors import InputError, RunFailedError
from adql.parameters.policies import StoredPolicy
from adql.types import Account
from adql.wire.evaluation_client import EvaluationResult
from adql_services.parameter_server.inside import STATUS, export, folder, status
from tests.services.pushes import push
from tests.system.launched import ENVIRONMENT
from tests.waiting import wait_until


@pytest.fixture
def settings(server):
    return ParameterServerSettings(
        listen=server.listen, directory=server.directory / "volume", redis_url="redis://elsewhere", auth=False
    )


@pytest.fixture
def evaluated(server, client):
    """A run with one evaluation."""
    for _ in range(5):
        push(client, environment_steps=50)
    evaluator = server.evaluator()
    task = evaluator.next(10.0)
    evaluator.report(EvaluationResult(task.id, task.parameters.version, [3.0, 5.0], [9, 9], None, 1.0))
    evaluator.close()
    return task


def exported(settings, folder):
    out = io.BytesIO()
    export(settings, out)
    folder.mkdir()
    read_bundle(io.BytesIO(out.getvalue()), folder)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_status_has_the_run_and_its_evaluations(settings, evaluated):
    told = status(settings)
    assert told["run"]["state"]["environment_steps"] == 50
    assert [result["mean"] for result in told["evaluations"]] == [4.0]


def test_export_of_a_run_that_goes_on_is_all_that_a_report_needs(server, client, settings, evaluated, tmp_path):
    client.tell(Account((1.0,), (7,), (20.0,), (9,), (0.1,), (None,), {"push": 1.0}))
    wait_until(lambda: (settings.directory / "activity.json").exists())  # the last that is written of an account
    found = exported(settings, tmp_path / "got")
    checkpoints = {name for name in found if name.startswith("checkpoints/")}
    assert found - checkpoints == {
        STATUS, "run.yaml", "progress.csv", "episodes.csv", "evaluations.csv", "activity.json", "watermark",
        "policy-best.safetensors", "policy-last.safetensors",
    }  # fmt: skip
    assert len(checkpoints) == 1
    best = StoredPolicy.read(tmp_path / "got" / "policy-best.safetensors")
    assert best.metadata["version"] == str(evaluated.parameters.version)
    told = json.loads((tmp_path / "got" / STATUS).read_text())
    assert told["run"]["evaluations"]["best"]["task"]["identifier"] == evaluated.id


def test_export_changes_nothing_on_the_volume(settings, evaluated, tmp_path):
    (settings.directory / "checkpoints" / ".under-way.tmp").touch()
    before = {path: path.stat().st_mtime_ns for path in settings.directory.rglob("*safetensors*")}
    exported(settings, tmp_path / "got")
    assert {path: path.stat().st_mtime_ns for path in settings.directory.rglob("*safetensors*")} == before
    assert (settings.directory / "checkpoints" / ".under-way.tmp").exists()


def test_line_that_is_on_its_way_is_left_out(settings, evaluated, tmp_path):
    with (settings.directory / "progress.csv").open("a") as file:
        file.write("1,2,")
    exported(settings, tmp_path / "got")
    assert (tmp_path / "got" / "progress.csv").read_bytes().endswith(b"\n")


def test_export_under_pushes_and_evaluations_is_of_one_moment(server, client, settings, tmp_path):
    evaluator = server.evaluator()
    for turn in range(8):
        for _ in range(5):
            push(client, np.ones(4, np.float32))
        task = evaluator.next(10.0)
        evaluator.report(EvaluationResult(task.id, task.parameters.version, [turn, turn], [9, 9], None, 1.0))
        folder = tmp_path / str(turn)
        exported(settings, folder)
        told = json.loads((folder / STATUS).read_text())["run"]["evaluations"]["best"]["task"]
        assert StoredPolicy.read(folder / "policy-best.safetensors").metadata["version"] == (
            f"{told['epoch']}.{told['number']}"
        )
    evaluator.close()


def test_server_that_does_not_answer_is_told_in_one_line(server, settings):
    server.terminate()
    with pytest.raises(RunFailedError, match=r"the parameter server does not tell of its run: .*; see its log"):
        status(settings)


def test_folder_of_another_run_than_the_servers_is_refused(settings, evaluated, tmp_path):
    (tmp_path / "other").mkdir()
    elsewhere = settings.model_copy(update={"directory": tmp_path / "other"})
    with pytest.raises(InputError, match=r"other is not of the run '.*' that the parameter server has; set ADQL_RUN="):
        folder(elsewhere, io.BytesIO(), lambda *_: "")


def test_folder_is_that_of_a_training_with_its_report(settings, evaluated, tmp_path):
    (place := tmp_path / "place").mkdir()
    environ = ENVIRONMENT | {
        "ADQL_LISTEN": settings.listen, "ADQL_DIRECTORY": str(settings.directory), "ADQL_AUTH": "false",
        "TMPDIR": str(place),
    }  # fmt: skip
    words = [sys.executable, "-m", "adql_services.cli", "pod", "folder"]
    came = subprocess.run(words, env=environ, capture_output=True, check=False, timeout=60)
    assert came.returncode == 0, came.stderr
    assert not list(place.iterdir())
    with tarfile.open(fileobj=io.BytesIO(came.stdout)) as tar:
        assert {(member.uid, member.mode) for member in tar} == {(0, 0o755), (0, 0o644)}
    subprocess.run(["tar", "-x", "-C", place], input=came.stdout, check=True, timeout=60)  # as people do
    summary = json.loads((place / "summary.json").read_text())
    assert (summary["status"], summary["evaluation"]["mean_return"]) == ("running", 4.0)
    assert summary["process_restarts"] is None
    assert "Learner steps" in (place / "report.html").read_text()
    assert StoredPolicy.read(place / "policy-best.safetensors").metadata["run"] == "adql"


def test_words_in_the_container_go_by_the_servers_own_variables(server, settings, evaluated, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret\n")
    environ = ENVIRONMENT | {
        "ADQL_LISTEN": settings.listen, "ADQL_DIRECTORY": str(settings.directory), "ADQL_TOKEN_FILE": str(tokens),
        "ADQL_SIDE": "http://0.0.0.0:8421", "ADQL_REDIS_URL": "redis://adql@nowhere:6379/0",
    }  # fmt: skip
    pod = [sys.executable, "-m", "adql_services.cli", "pod"]
    told = subprocess.run([*pod, "status"], env=environ, capture_output=True, check=True, timeout=60)
    assert json.loads(told.stdout)["run"]["name"] == "adql"
    came = subprocess.run([*pod, "export"], env=environ, capture_output=True, check=True, timeout=60)
    read_bundle(io.BytesIO(came.stdout), tmp_path)
    assert (tmp_path / "policy-best.safetensors").exists()
    assert b"secret" not in told.stdout + came.stdout
