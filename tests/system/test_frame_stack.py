"""A whole run of stacked frames, with real processes."""

import json

import pytest
import yaml

from tests.system.launched import SHORT, adql

pytestmark = pytest.mark.system


def test_cartpole_with_stacked_frames_trains_and_goes_on_from_its_snapshot(tmp_path):
    run = tmp_path / "run"
    first = adql("train", "--env", "CartPole-v1", "--output", run, *SHORT, "environment.frame_stack=2")
    assert first.returncode == 0, first.stderr
    environment = yaml.safe_load((run / "run.yaml").read_text())["environment"]
    assert environment["signature"]["observation_shape"] == [2, 4]
    assert environment["frame_stack"] == environment["signature"]["frame_stack"] == 2
    before = json.loads((run / "summary.json").read_text())
    assert before["environment_steps"] >= 2_000 and before["learner_steps"] > 100

    again = adql("resume", run, "training.environment_steps=4000")
    assert again.returncode == 0, again.stderr
    after = json.loads((run / "summary.json").read_text())
    assert after["learner_steps"] > before["learner_steps"]

    other = adql("resume", run, "environment.frame_stack=3", "training.environment_steps=6000")
    assert other.returncode == 2 and "frame_stack" in other.stderr
