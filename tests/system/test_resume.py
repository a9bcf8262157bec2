"""A run on this machine as a person drives it: ends, goes on, loses its store, loses its processes."""

import json
import shutil
import signal
from pathlib import Path

import psutil
import pytest
import redis

from adql_services.local.store import LocalStore
from tests.system.launched import LONG, SHORT, adql, launched, steps
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def summary(directory):
    return json.loads((directory / "summary.json").read_text())


def test_run_writes_its_folder_and_goes_on_with_a_larger_budget(tmp_path):
    run = tmp_path / "run"
    first = adql("train", "--output", run, *SHORT)
    assert first.returncode == 0, first.stderr
    before = summary(run)
    assert {"run.yaml", "command.txt", "summary.json", "evaluations.csv", "episodes.csv", "report.html",
            "policy-best.safetensors", "policy-last.safetensors"} <= {path.name for path in run.iterdir()}  # fmt: skip
    assert sum(before["updates_by_learner"].values()) == before["updates"]["applied"] == before["version"]["number"]

    over = adql("resume", run)
    assert over.returncode == 2 and "training.environment_steps=" in over.stderr

    again = adql("resume", run, "training.environment_steps=4000", "training.learners=1")
    assert again.returncode == 0, again.stderr
    after = summary(run)
    assert after["environment_steps"] >= 4_000 and after["version"]["epoch"] == 2
    assert after["version"]["number"] > before["version"]["number"]
    assert after["wall_seconds"] > before["wall_seconds"] and after["cpu_seconds"] > before["cpu_seconds"]
    assert len((run / "command.txt").read_text().splitlines()) == 2

    played = adql("evaluate", run, "--episodes", 3, "--json")
    assert json.loads(played.stdout)["episodes"] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_everything_and_exits_0(tmp_path, number):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 1_000)
        assert train.stop(number) == 0, train.said()
    stopped = summary(run)
    assert (stopped["status"], stopped["reached"]) == ("stopped", False)
    with launched(tmp_path / "log", "resume", run) as resume:
        wait_until(lambda: steps(run) > stopped["environment_steps"] + 1_000)
        assert resume.stop() == 0, resume.said()
    assert summary(run)["learner_steps"] > stopped["learner_steps"]
    assert "transitions=0" not in (run / "logs" / "replay.log").read_text().splitlines()[-1]


def test_every_process_ends_with_a_killed_launcher_and_the_run_goes_on(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 1_000)
        children = train.children()
        sockets = Path(children["replay"].environ()["ADQL_TOKEN_FILE"]).parent
        assert set(children) == {"store", "parameter-server", "replay", "learner-0", "learner-1", "evaluator"}
        train.process.kill()
        train.process.wait()
        _, alive = psutil.wait_procs(list(children.values()), timeout=20)
        assert not alive
    assert adql("doctor").returncode == 0
    assert not sockets.exists()
    before = steps(run)
    with launched(tmp_path / "log", "resume", run) as resume:
        wait_until(lambda: steps(run) > before + 1_000)
        assert resume.stop() == 0, resume.said()


def test_killed_learner_and_store_come_back(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 1_000)
        for name in ("learner-0", "store"):
            train.children()[name].kill()
        wait_until(lambda: "learner-0 ended with code -9; starting it again" in train.said())
        wait_until(lambda: "store ended with code -9; starting it again" in train.said())
        before = steps(run)
        wait_until(lambda: steps(run) > before + 2_000 and len(train.children()) == 6)
        assert train.stop() == 0
    assert summary(run)["process_restarts"] == 1


def test_lost_store_is_refused_then_restored_from_the_newest_checkpoint(tmp_path):
    run = tmp_path / "run"
    assert adql("train", "--output", run, *SHORT).returncode == 0
    kept = summary(run)["learner_steps"]
    shutil.rmtree(run / "store")

    refused = adql("resume", run, "training.environment_steps=4000")
    assert refused.returncode == 2 and "adql restore" in refused.stderr and "Traceback" not in refused.stderr
    restored = adql("restore", run)
    assert restored.returncode == 0 and f"at {kept} learner steps" in restored.stdout
    again = adql("restore", run)
    assert again.returncode == 2 and "has lost nothing" in again.stderr
    resumed = adql("resume", run, "training.environment_steps=4000")
    assert resumed.returncode == 0 and summary(run)["learner_steps"] > kept, resumed.stderr


def flip_newest_parameters(store: Path) -> None:
    """Flips one bit near the end of the append-only file: the last commit's parameters."""
    file = max((store / "appendonlydir").glob("*incr.aof"))
    content = bytearray(file.read_bytes())
    content[-1_000] ^= 0x40
    file.write_bytes(content)


def damage_the_mark(store: Path) -> None:
    """As a flipped bit in the epoch would."""
    embedded = LocalStore(store)
    embedded.start()
    with redis.Redis.from_url(embedded.url) as client:
        (key,) = client.keys()
        client.hset(key, "epoch", b"\xff")
    embedded.close()


@pytest.mark.parametrize("damage", ["state", "mark", "watermark"])
def test_damage_is_refused_then_restored(tmp_path, damage):
    run = tmp_path / "run"
    assert adql("train", "--output", run, *SHORT).returncode == 0
    if damage == "state":
        flip_newest_parameters(run / "store")
    elif damage == "mark":
        damage_the_mark(run / "store")
    else:
        (run / "watermark").write_bytes(b"x" * 8192)

    refused = adql("resume", run, "training.environment_steps=4000")
    assert refused.returncode == 2 and "damaged" in refused.stderr and "adql restore" in refused.stderr
    assert adql("restore", run).returncode == 0
    resumed = adql("resume", run, "training.environment_steps=4000")
    assert resumed.returncode == 0, resumed.stderr


def test_service_that_crashes_in_a_loop_ends_the_run_with_the_reason(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG) as train:
        wait_until(lambda: steps(run) > 0)
        killed: set[int] = set()

        def ends_although_the_evaluator_is_killed() -> bool:
            if train.process.poll() is not None:
                return True
            evaluator = train.children().get("evaluator")
            if evaluator is not None and evaluator.pid not in killed:
                killed.add(evaluator.pid)
                evaluator.kill()
            return False

        wait_until(ends_although_the_evaluator_is_killed, what=train.said)
        assert train.process.returncode == 1, train.said()
    reason = train.said().strip().splitlines()[-1]
    assert "evaluator ended 4 times in a row" in reason and "Traceback" not in train.said()
    failed = summary(run)
    assert (failed["status"], len(killed)) == ("failed", 4) and "evaluator ended 4 times" in failed["reason"]


def test_reached_goal_ends_every_process_within_ten_seconds_and_none_is_killed(tmp_path):
    run = tmp_path / "run"
    with launched(tmp_path / "log", "train", "--output", run, *LONG, "training.goal=8") as train:
        children = wait_until(lambda: len(found := train.children()) == 6 and list(found.values()), what=train.said)
        wait_until(lambda: "confirmation at" in train.said(), what=train.said)
        assert train.process.wait(10) == 0, train.said()
        assert [child for child in children if child.is_running()] == []
    assert summary(run)["reached"] and "had to be killed" not in train.said()


def test_run_that_no_longer_improves_ends_and_goes_on_only_with_a_larger_bound(tmp_path):
    run, still = tmp_path / "run", ["algorithm.learning_rate.initial=1e-9", "training.goal=10000"]
    done = adql("train", "--output", run, *LONG, *still, "training.plateau_evaluations=2")
    assert done.returncode == 0 and summary(run)["status"] == "plateau", done.stderr
    refused = adql("resume", run)
    assert refused.returncode == 2 and "training.plateau_evaluations=4" in refused.stderr
    more = adql("resume", run, "training.plateau_evaluations=4")
    assert more.returncode == 0, more.stderr
    assert (summary(run)["status"], summary(run)["evaluations_without_improvement"]) == ("plateau", 4)
