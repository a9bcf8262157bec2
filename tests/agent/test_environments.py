"""Environments: ids, spaces, time limits, vector steps."""

import sys
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

from adql.agent.environments import VectorEnvironment, make_environment, resolve
from adql.config import EnvironmentSettings
from adql.errors import EnvironmentUnusableError
from tests.agent import environment_doubles


def test_signature_of_cartpole_has_its_shape_actions_and_goal():
    signature = resolve(EnvironmentSettings()).signature
    assert (signature.observation_shape, signature.actions, signature.reward_threshold) == ((4,), 2, 475.0)


def test_signature_of_a_discrete_environment_counts_its_observations():
    signature = resolve(EnvironmentSettings(id="FrozenLake-v1")).signature
    assert (signature.observations, signature.actions, signature.observation_shape) == (16, 4, ())


def test_environment_without_a_time_limit_is_truncated_at_1000_steps():
    environment = make_environment(EnvironmentSettings(id="Counting-v0", kwargs={"length": 5_000}))
    environment.reset()
    steps = 1
    while not environment.step(0)[3]:
        steps += 1
    assert steps == 1_000


def test_discrete_spaces_that_start_elsewhere_are_counted_from_zero():
    environment = make_environment(EnvironmentSettings(id="FromFive-v0"))
    assert environment.reset()[0] == 0
    assert [environment.step(action)[0] for action in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("name", ["CartPol-v1", "CartPole", "cartpole-v1", "CartPole-v99"])
def test_unknown_id_names_what_is_near(name):
    with pytest.raises(EnvironmentUnusableError, match=rf"{name}.*near are .*CartPole-v1"):
        resolve(EnvironmentSettings(id=name))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ALE/Pong-v5", r"\(ale-py\), which must be installed and named: environment.id=ale_py:ALE/Pong-v5 "),
        ("MinAtar/Breakout-v1", r"\(MinAtar\), .* environment.id=minatar.gym:MinAtar/Breakout-v1 .*=\[minatar.gym\]"),
        ("Nowhere/Thing-v0", r"one of its own.*environment.id=module:Nowhere/Thing-v0 environment.allow=\[module\]"),
    ],
)
def test_unknown_namespace_names_the_package_that_must_be_installed(name, said):
    with pytest.raises(EnvironmentUnusableError, match=said):
        resolve(EnvironmentSettings(id=name))


def test_continuous_actions_are_refused():
    with pytest.raises(EnvironmentUnusableError, match="Discrete actions"):
        resolve(EnvironmentSettings(id="Pendulum-v1"))


def test_tuple_observations_are_refused():
    with pytest.raises(EnvironmentUnusableError, match="Box or Discrete"):
        resolve(EnvironmentSettings(id="Blackjack-v1"))


def test_unknown_keyword_argument_is_one_line():
    with pytest.raises(EnvironmentUnusableError, match="unexpected keyword argument 'wind'") as caught:
        resolve(EnvironmentSettings(kwargs={"wind": 1}))
    assert "\n" not in str(caught.value)


def test_module_that_is_not_allowed_is_never_imported():
    sys.modules.pop("this", None)
    with pytest.raises(EnvironmentUnusableError, match=r"environment.allow"):
        resolve(EnvironmentSettings(id="this:Zen-v0"))
    assert "this" not in sys.modules


def test_refusal_of_a_module_says_how_it_is_allowed_on_the_command_line_and_in_python():
    with pytest.raises(
        EnvironmentUnusableError, match=r"add environment.allow=\[this\], in Python .*allow=\['this'\]\)"
    ):
        make_environment(EnvironmentSettings(id="this:Zen-v0"))


def test_module_that_a_program_allows_is_imported_beside_those_that_the_settings_allow():
    doubles = "tests.agent.environment_doubles"
    settings = EnvironmentSettings(id=f"{doubles}:Counting-v0", allow=("first",))
    assert make_environment(settings, allow=[doubles]).reset()[0] == [0]
    assert settings.allow == ("first",)
    with pytest.raises(EnvironmentUnusableError, match=r"not among those allowed, \['first', 'other'\]"):
        make_environment(settings, allow=["other"])


def test_imported_module_is_not_allowed_by_its_import():
    with pytest.raises(EnvironmentUnusableError, match=r"not among those allowed, \[\]"):
        make_environment(EnvironmentSettings(id="tests.agent.environment_doubles:Counting-v0"))


def test_allowed_module_is_imported():
    settings = EnvironmentSettings(
        id="tests.agent.environment_doubles:Counting-v0", allow=("tests.agent.environment_doubles",)
    )
    assert resolve(settings).signature.reward_threshold == 2.5


def test_allowed_module_that_registers_by_a_function_has_it_called_once(monkeypatch):
    calls = []

    def register_envs():
        calls.append(1)
        gymnasium.register("Tiny/Walk-v0", environment_doubles.Counting)

    monkeypatch.setitem(sys.modules, "tiny", SimpleNamespace(register_envs=register_envs))
    for _ in range(2):
        assert make_environment(EnvironmentSettings(id="tiny:Tiny/Walk-v0", allow=("tiny",))).reset()[0] == [0]
    assert calls == [1]


def test_module_whose_register_function_raises_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiny", SimpleNamespace(register_envs=lambda: 1 / 0))
    with pytest.raises(EnvironmentUnusableError, match=r"cannot import 'tiny' .*ZeroDivisionError"):
        make_environment(EnvironmentSettings(id="tiny:Tiny/Run-v0", allow=("tiny",)))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("Raising-v0", "KeyError: 'no such level'"), ("Spaceless-v0", "AttributeError.*space")],
)
def test_environment_that_cannot_be_made_is_one_line(name, complaint):
    with pytest.raises(EnvironmentUnusableError, match=f"{name}.* does not start: .*{complaint}") as caught:
        resolve(EnvironmentSettings(id=name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["raise RuntimeError('two\\nlines')", "def ("])
def test_module_that_breaks_at_import_is_one_line(tmp_path, monkeypatch, source):
    (tmp_path / "broken_environments.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvironmentUnusableError, match="cannot import 'broken_environments'") as caught:
        resolve(EnvironmentSettings(id="broken_environments:X-v0", allow=("broken_environments",)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", ["", ".x"])
def test_module_that_has_no_name_is_one_line(module):
    with pytest.raises(EnvironmentUnusableError, match="cannot import"):
        resolve(EnvironmentSettings(id=f"{module}:X-v0", allow=(module,)))


def test_second_module_is_never_imported():
    sys.modules.pop("this", None)
    with pytest.raises(EnvironmentUnusableError, match="two modules"):
        resolve(EnvironmentSettings(id="gymnasium:this:Zen-v0", allow=("gymnasium",)))
    assert "this" not in sys.modules


@pytest.mark.parametrize(("shape", "dtype"), [((1,), "float16"), ((0,), "float32"), ((2, 0), "float32")])
def test_box_that_cannot_be_stored_is_refused(shape, dtype):
    settings = EnvironmentSettings(id="Shaped-v0", kwargs={"shape": shape, "dtype": dtype})
    with pytest.raises(EnvironmentUnusableError, match=r"axes of length 0 .* dtypes float32, float64") as caught:
        resolve(settings)
    assert "\n" not in str(caught.value)


def test_row_after_an_end_is_a_reset_row():
    environment = VectorEnvironment(EnvironmentSettings(id="Counting-v0"), seeds=[1])
    environment.reset()
    steps = [environment.step(np.array([1])) for _ in range(5)]
    assert [bool(step.valid[0]) for step in steps] == [True, True, True, False, True]
    assert [float(step.next_observation[0, 0]) for step in steps] == [1, 2, 3, 0, 1]


def test_success_is_known_only_where_the_environment_says_it():
    settings = EnvironmentSettings(id="Counting-v0", kwargs={"length": 2, "success": True})
    environment = VectorEnvironment(settings, seeds=[1, 2])
    environment.reset()
    first, last = (environment.step(np.array([0, 0])).success for _ in range(2))
    assert np.isnan(first).all()
    assert last.tolist() == [1.0, 1.0]


def test_equal_seeds_give_equal_episodes():
    first, second = (VectorEnvironment(EnvironmentSettings(), seeds=[7, 8]).reset() for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
