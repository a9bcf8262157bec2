"""A new environment is tried once before anything starts: what it answers is what it declares, or it is refused."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from adql.agent.environments import VectorEnvironment, resolve
from adql.agent.evaluation import play_episodes
from adql.config import EnvironmentSettings
from adql.errors import EnvironmentUnusableError
from tests.agent import environment_doubles  # noqa: F401  registers the doubles
from tests.agent.test_actor import AlwaysOne

PAIR, NINE = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(9, start=1)
IMAGE = spaces.Box(0, 255, (2, 2), np.uint8)
GOOD = np.zeros(2, np.float32)
STEP = (GOOD, 0.5, False, False, {})


def answering(space, reset, step=STEP, **keys) -> EnvironmentSettings:
    return EnvironmentSettings(id="Answering-v0", kwargs={"space": space, "reset": reset, "step": step}, **keys)


def refusal(settings: EnvironmentSettings) -> str:
    with pytest.raises(EnvironmentUnusableError) as caught:
        resolve(settings)
    said = str(caught.value)
    assert "\n" not in said and said.startswith(f"environment.id={settings.id!r} ") and "mend the environment" in said
    assert caught.value.exit_code == 2
    return said


@pytest.mark.parametrize(
    ("space", "observation", "said"),
    [
        (PAIR, np.zeros(3), "observation of shape (3,) at its reset, its observation_space is Box of shape (2,)"),
        (PAIR, np.zeros((1, 2)), "observation of shape (1, 2) at its reset"),
        (PAIR, [[1], [1, 2]], "observation of type list at its reset"),
        (PAIR, None, "observation of shape () at its reset"),
        (PAIR, np.array(["a", "b"]), "observation of dtype <U1 at its reset"),
        (PAIR, np.array([0, np.nan]), "observation nan at its reset; observations must be finite"),
        (IMAGE, np.zeros((2, 2)), "observation of dtype float64 at its reset, its observation_space is Box of shape"),
        (NINE, np.array([1]), "observation of shape (1,) at its reset, its observation_space is Discrete, one integer"),
        (NINE, 1.0, "observation of dtype float64 at its reset"),
        (NINE, True, "observation of dtype bool at its reset"),
        (NINE, 0, "observation 0 at its reset, its observation_space is Discrete, one integer from 1 to 9"),
        (NINE, 10, "observation 10 at its reset"),
    ],
)
def test_observation_that_its_space_cannot_hold_is_refused_with_both(space, observation, said):
    assert said in refusal(answering(space, (observation, {})))


@pytest.mark.parametrize(
    ("reset", "given"),
    [(GOOD, "ndarray"), ((GOOD,), "(ndarray)"), ((GOOD, 1.0), "(ndarray, float)"), ((GOOD, {}, {}), "dict, dict)")],
)
def test_reset_that_is_no_observation_with_its_info_is_refused(reset, given):
    said = refusal(answering(PAIR, reset))
    assert f"{given} at its reset, wanted is the tuple (observation, info), of which info is a dict" in said


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            (GOOD, 0.5, False, {}),
            "gave (ndarray, float, bool, dict) at step 1, wanted is the tuple (observation, reward, term",
        ),
        ((GOOD, 0.5, False, False, None), "gave (ndarray, float, bool, bool, NoneType) at step 1"),
        ((GOOD, None, False, False, {}), "gave reward of type NoneType at step 1, wanted is one real number"),
        ((GOOD, GOOD[:1], False, False, {}), "gave reward of type ndarray at step 1"),
        ((GOOD, 1j, False, False, {}), "gave reward of type complex at step 1"),
        ((GOOD, float("inf"), False, False, {}), "gave reward inf at step 1; observations must be finite and rewards"),
        ((GOOD, 0.5, 0.0, False, {}), "gave terminated of type float at step 1, wanted is True or False"),
        ((GOOD, 0.5, False, None, {}), "gave truncated of type NoneType at step 1, wanted is True or False"),
        ((GOOD[:1], 0.5, False, False, {}), "gave an observation of shape (1,) at step 1"),
        (RuntimeError("no\nscreen"), "raised RuntimeError: no screen at step 1; mend the environment"),
    ],
)
def test_step_that_answers_something_else_is_refused(step, said):
    assert said in refusal(answering(PAIR, (GOOD, {}), step))


@pytest.mark.parametrize("threshold", [float("nan"), "x"])
def test_threshold_that_is_no_number_is_refused_by_name(monkeypatch, threshold):
    monkeypatch.setattr(gymnasium.spec("Counting-v0"), "reward_threshold", threshold)
    with pytest.raises(EnvironmentUnusableError, match=f"is registered with reward_threshold={threshold!r}; register"):
        resolve(EnvironmentSettings(id="Counting-v0"))


def test_threshold_of_numpy_is_a_number(monkeypatch):
    monkeypatch.setattr(gymnasium.spec("Counting-v0"), "reward_threshold", np.float32(3.0))
    assert resolve(EnvironmentSettings(id="Counting-v0")).signature.reward_threshold == 3.0


def test_environment_that_ends_the_process_is_refused():
    assert "raised SystemExit: 7 at its reset; mend" in refusal(
        EnvironmentSettings(id="Ill-v0", kwargs={"raises": "end", "at": 0})
    )


def test_reset_that_raises_is_refused_with_its_own_words():
    said = refusal(answering(PAIR, TypeError("reset() got an unexpected keyword argument 'seed'")))
    assert "raised TypeError: reset() got an unexpected keyword argument 'seed' at its reset; mend" in said


@pytest.mark.parametrize(
    ("space", "observation"),
    [(PAIR, [5.0, -7.0]), (PAIR, np.zeros(2)), (PAIR, (0, 1)), (NINE, np.int8(9)), (NINE, np.array(1))],
)
def test_observation_beyond_its_bounds_or_of_another_type_that_can_be_cast_is_taken(space, observation):
    step = (observation, np.float32(0.5), np.True_, np.False_, {"is_success": True})
    settings = answering(space, (observation, {}), step)
    assert resolve(settings).signature.actions == 2
    assert play_episodes(settings, AlwaysOne(), np.zeros(0), 2, seed=0).returns == (0.5, 0.5)


def test_frames_are_tried_before_they_are_stacked():
    assert "of shape (3,) at its reset, its observation_space is Box of shape (2,)" in refusal(
        answering(PAIR, (np.zeros(3), {}), frame_stack=2)
    )


def test_environment_whose_signature_is_known_is_neither_made_nor_tried():
    signature = {"observation_shape": (2,), "actions": 2}
    settings = answering(PAIR, (np.zeros(3), {}), signature=signature)
    assert resolve(settings) is settings


def test_try_takes_one_copy_that_is_closed_and_no_seed_of_those_that_are_trained_on(tmp_path):
    told = tmp_path / "said"
    settings = EnvironmentSettings(
        id="tests.services.worlds:World-v0", allow=("tests.services.worlds",), kwargs={"file": str(told)}
    )
    resolve(settings)
    assert told.read_text().split() == ["reset", "step", "closed"]
    before = VectorEnvironment(EnvironmentSettings(), seeds=[7, 8]).reset()
    resolve(EnvironmentSettings())
    assert np.array_equal(before, VectorEnvironment(EnvironmentSettings(), seeds=[7, 8]).reset())


@pytest.mark.parametrize(
    ("reset", "step", "when"), [(np.zeros(3), GOOD, "at its reset"), (GOOD, np.zeros(3), "at step 1")]
)
def test_evaluation_of_another_shape_than_is_declared_is_refused_with_both_shapes(reset, step, when):
    settings = answering(PAIR, (reset, {}), (step, 0.5, False, False, {}))
    with pytest.raises(EnvironmentUnusableError, match=rf"shape \(3,\) {when}, its .* is Box of shape \(2,\)"):
        play_episodes(settings, AlwaysOne(), np.zeros(0), 2, seed=0)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"observation_shape": (4,), "actions": 2}, r"has observation_shape \(2,\), and \(4,\) when its run began"),
        ({"observation_shape": (2,), "actions": 3}, "has actions 2, and 3 when its run began"),
    ],
)
def test_evaluation_of_an_environment_that_has_changed_since_its_run_began_is_refused(known, said):
    with pytest.raises(EnvironmentUnusableError, match=said):
        play_episodes(answering(PAIR, (GOOD, {}), signature=known), AlwaysOne(), np.zeros(0), 2, seed=0)
