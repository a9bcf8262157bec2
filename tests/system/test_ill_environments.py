"""Environments that go wrong while they are trained on: the reason in one line, no traceback, the right exit code."""

import pytest

from tests.system.launched import LONG, adql

pytestmark = pytest.mark.system
MODULE = """
import time
import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

class Ill(CartPoleEnv):
    steps = 0
    def __init__(self, at, fault, **kwargs):
        super().__init__(**kwargs)
        self.at, self.fault = at, fault
    def step(self, action):
        self.steps += 1
        observation, reward, *rest = super().step(action)
        if self.steps < self.at:
            return observation, reward, *rest
        if self.fault == "shape":
            return observation[:3], reward, *rest
        if self.fault == "one after the other" and not first():
            time.sleep(1)  # longer than it takes to ask all to stop: this one fails when it was asked already
        return observation, 1 / 0 if self.fault == "division" else float("nan"), *rest

def first():
    try:
        open("first", "x")
    except FileExistsError:
        return False
    return True

gymnasium.register("Ill-v0", Ill)
"""


def train(folder, fault: str, at: int):
    (folder / "ill.py").write_text(MODULE)
    kwargs = f"environment.kwargs={{at: {at}, fault: '{fault}'}}"
    words = ["environment.id=ill:Ill-v0", "environment.allow=[ill]", kwargs]
    return adql("train", "--output", folder / "run", *LONG, *words, cwd=folder)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", "gave an observation of shape (3,) at step 1, its observation_space is Box of shape (4,)"),
        ("nan", "gave reward nan at step 1; observations must be finite"),
        ("division", "raised ZeroDivisionError: division by zero at step 1; mend the environment"),
    ],
)
def test_environment_that_is_ill_from_the_start_is_refused_before_anything_starts(tmp_path, fault, said):
    done = train(tmp_path, fault, at=1)
    (reason,) = done.stderr.splitlines()
    assert done.returncode == 2 and reason.startswith(f"adql: error: environment.id='ill:Ill-v0' {said}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("fault", ["nan", "one after the other"])
def test_reward_that_is_not_finite_ends_the_run_at_once_as_bad_input(tmp_path, fault):
    done = train(tmp_path, fault, at=2)
    *before, reason = done.stderr.strip().splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert reason.startswith("adql: error: learner-")
    assert "environment.id='ill:Ill-v0' gave reward nan at step 2" in reason
    assert not any("starting it again" in line for line in before)
    assert not (tmp_path / "run").exists()


def test_step_that_raises_ends_the_run_with_the_environments_own_words(tmp_path):
    done = train(tmp_path, "division", at=60)
    reason = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "environment.id='ill:Ill-v0' raised ZeroDivisionError: division by zero at step " in reason
    logs = "".join(log.read_text() for log in (tmp_path / "run" / "logs").glob("learner-*.log"))
    assert 'ill.py", line' in logs
