"""Gymnasium environments: made from settings, checked once, stepped in copies.

Gymnasium appears here and in no other library module.
"""

import difflib
import importlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FrameStackObservation, TimeLimit, TransformAction, TransformObservation

from adql.agent.environment_check import check_reset, check_step, raised
from adql.agent.environment_faults import FOREIGN, check_answer, failure, one_line
from adql.config import EnvironmentSettings, SignatureSettings
from adql.errors import EnvironmentMissingError, EnvironmentUnusableError
from adql.types import Array

DEFAULT_MAX_EPISODE_STEPS = 1_000
"""Where neither the environment nor the settings state a limit."""
MOST_NAMED = 5
"""Ids of a foreign module that a refusal names, those most like the one that was asked for."""
LIKE, ALIKE = 0.5, 0.75
"""Likeness from which an id is named as near another, and from which it is taken for that one misspelt."""
NOT_INSTALLED = (ImportError, gymnasium.error.DependencyNotInstalled)
PACKAGES = {"ALE": ("ale-py", "ale_py"), "MinAtar": ("MinAtar", "minatar.gym")}
"""Package and module of a namespace of ids."""
REGISTERS = "register_envs"
"""Function by which modules such as MinAtar's register what they have, where their import alone does not."""

Environment = gymnasium.Env[Any, Any]


@dataclass(frozen=True, slots=True)
class VectorStep:
    """What C copies answered to one action each; every array has C rows."""

    next_observation: Array
    reward: Array
    terminated: Array
    truncated: Array
    valid: Array
    """False in the row after an end, where Gymnasium only resets: no transition, and no environment step."""
    success: Array
    """1.0 or 0.0 where ``info["is_success"]`` was given, else NaN."""


class VectorEnvironment:
    """C copies of one environment in one thread, with Gymnasium's NEXT_STEP autoreset."""

    def __init__(self, settings: EnvironmentSettings, seeds: Sequence[int]) -> None:
        self._vector = SyncVectorEnv(
            [lambda: make_environment(settings) for _ in seeds], autoreset_mode=AutoresetMode.NEXT_STEP
        )
        self._name = settings.id
        self._seeds: list[int | None] = list(seeds)
        self._ended = np.zeros(len(seeds), dtype=np.bool_)
        self._steps = 0

    def __len__(self) -> int:
        return len(self._seeds)

    def reset(self) -> Array:
        """Starts every copy from its seed; returns (C, *observation_shape).

        Raises:
            EnvironmentFailedError, EnvironmentUnusableError: it raised, or gave a number that is not finite.
        """
        try:
            observation, _ = self._vector.reset(seed=self._seeds)
        except FOREIGN as error:
            raise failure(self._name, 0, error) from error
        check_answer(self._name, 0, observation)
        self._ended, self._steps = np.zeros(len(self), dtype=np.bool_), 0
        return np.asarray(observation)

    def step(self, actions: Array) -> VectorStep:
        """Steps every copy with its action (C,), counted from 0.

        Raises:
            EnvironmentFailedError, EnvironmentUnusableError: one raised, or gave a number that is not finite.
        """
        self._steps += 1
        try:
            observation, reward, terminated, truncated, info = self._vector.step(actions)
        except FOREIGN as error:
            raise failure(self._name, self._steps, error) from error
        check_answer(self._name, self._steps, observation, reward)
        valid, self._ended = ~self._ended, terminated | truncated
        return VectorStep(observation, reward, terminated, truncated, valid, _successes(info, len(self)))

    def close(self) -> None:
        """Frees what the copies hold; what they raise is a warning, since it must not hide why they are closed."""
        _close(self._vector, self._name)


def make_environment(settings: EnvironmentSettings, allow: Sequence[str] = ()) -> Environment:
    """Makes one copy, with a time limit in every case.

    ``allow`` names foreign modules that the id may import, beside those that ``settings`` allow; the settings of a
    stored policy allow none.

    Raises:
        EnvironmentUnusableError: unknown id, module that is not allowed, or an environment that does not start.
    """
    return _adapted(_made(settings.model_copy(update={"allow": (*settings.allow, *allow)})), settings)


def registered_name(settings: EnvironmentSettings) -> str:
    """Returns the id without its module, after the module was imported (if allowed) to register its environments."""
    module, colon, name = settings.id.partition(":")
    if not colon:
        return settings.id
    if module not in settings.allow:
        raise EnvironmentUnusableError(
            f"environment.id={settings.id!r} would import the module {module!r}, which is not among those allowed, "
            f"{list(settings.allow)}; if you trust it, add environment.allow=[{module}], in Python "
            f"make_environment(…, allow=[{module!r}])"
        )
    if ":" in name:  # Gymnasium would import what stands before it
        raise EnvironmentUnusableError(f"environment.id={settings.id!r} names two modules; write module:Env-v0")
    try:
        imported = importlib.import_module(module)
        if not is_registered(name) and hasattr(imported, REGISTERS):
            getattr(imported, REGISTERS)()
    except FOREIGN as error:
        raise _kind(error)(
            f"environment.id={settings.id!r}: cannot import {module!r} ({one_line(error)}); install the package that "
            "has it, run in the folder that has it, or mend it"
        ) from None
    return name


def is_registered(name: str) -> bool:
    """Whether Gymnasium has an environment of this id; one with a module before it is not looked for."""
    return name in gymnasium.registry


def resolve(settings: EnvironmentSettings) -> EnvironmentSettings:
    """Returns ``settings`` with the signature filled in, by making and trying the environment once where it is missing.

    Raises:
        EnvironmentUnusableError: it cannot be made, has spaces that cannot be used, or its first reset or step raises
            or answers something else than these spaces and Gymnasium declare.
    """
    if settings.signature is not None:
        return settings
    environment = _made(settings)
    try:
        signature = signature_of(_adapted(environment, settings), settings)
        _try(environment, settings.id)
        return settings.model_copy(update={"signature": signature})
    finally:
        _close(environment, settings.id)


def signature_of(environment: Environment, settings: EnvironmentSettings) -> SignatureSettings:
    """Reads the spaces of ``environment``, made from ``settings``.

    Raises:
        EnvironmentUnusableError: actions are not Discrete, or observations neither Discrete nor a Box that is not
            empty and of a dtype that replay stores.
    """
    actions, observations, name = environment.action_space, environment.observation_space, settings.id
    if not isinstance(actions, spaces.Discrete):
        raise EnvironmentUnusableError(
            f"environment.id={name!r} has actions {actions}; Q-learning here needs Discrete actions, "
            "so wrap the environment to choose among a fixed number of them"
        )
    threshold = _threshold(environment, name)
    common = {
        "actions": int(actions.n),
        "reward_threshold": threshold,
        "observation_dtype": str(getattr(observations, "dtype", None)),
    }
    try:
        if isinstance(observations, spaces.Discrete):
            return SignatureSettings.model_validate({"observations": int(observations.n), **common})
        if isinstance(observations, spaces.Box):
            box = {"observation_shape": observations.shape, "frame_stack": settings.frame_stack}
            return SignatureSettings.model_validate(box | common)
    except ValueError:
        dtypes = ", ".join(get_args(SignatureSettings.model_fields["observation_dtype"].annotation))
        raise EnvironmentUnusableError(
            f"environment.id={name!r} has observations {observations}; needed is a Box without axes of length 0 and "
            f"of one of the dtypes {dtypes}: wrap the environment to give one"
        ) from None
    raise EnvironmentUnusableError(
        f"environment.id={name!r} has observations {observations}; needed is Box or Discrete: "
        "add gymnasium.wrappers.FlattenObservation or the like"
    )


def _threshold(environment: Environment, name: str) -> float | None:
    """The return that the environment was registered to be solved by, if it was."""
    threshold = environment.spec.reward_threshold if environment.spec else None
    if threshold is None:
        return None
    if isinstance(threshold, int | float | np.number) and math.isfinite(threshold):
        return float(threshold)
    raise EnvironmentUnusableError(
        f"environment.id={name!r} is registered with reward_threshold={threshold!r}; register it with a finite number "
        "or without"
    )


def check_signature(environment: Environment, settings: EnvironmentSettings) -> None:
    """Refuses an environment whose spaces are no longer those that ``settings.signature`` tells, where it tells any.

    Raises:
        EnvironmentUnusableError: names what differs.
    """
    if settings.signature is None:
        return
    now = signature_of(environment, settings)
    for name in ("observation_shape", "observations", "actions"):
        found, known = getattr(now, name), getattr(settings.signature, name)
        if found != known:
            raise EnvironmentUnusableError(
                f"environment.id={settings.id!r} has {name} {found}, and {known} when its run began: mend the "
                "environment, or begin a run of its own"
            )


def _made(settings: EnvironmentSettings) -> Environment:
    """Makes one copy as its author declares it, with a time limit."""
    before = set(gymnasium.registry)
    name = registered_name(settings)
    try:
        spec = gymnasium.spec(name)
    except gymnasium.error.Error:
        new = sorted(gymnasium.registry.keys() - before)
        raise (_unknown_in_module(settings.id, new) if new else _unknown(settings.id)) from None
    try:
        limit = settings.max_episode_steps or spec.max_episode_steps or DEFAULT_MAX_EPISODE_STEPS
        environment = gymnasium.make(name, max_episode_steps=limit, disable_env_checker=True, **settings.kwargs)
        _ = environment.action_space, environment.observation_space  # raise where they are not declared
        return environment
    except FOREIGN as error:
        raise _kind(error)(f"environment.id={settings.id!r} does not start: {one_line(error)}") from None


def _adapted(environment: Environment, settings: EnvironmentSettings) -> Environment:
    """Returns ``environment`` as it is acted in: counted from 0, its frames stacked."""
    environment = _counted_from_zero(environment)
    return environment if settings.frame_stack is None else _stacked(environment, settings.id, settings.frame_stack)


def _try(environment: Environment, name: str) -> None:
    """Resets and steps a new environment once: what its author got wrong is better said before a run begins."""
    if isinstance(environment, TimeLimit):  # it unpacks a step before anyone can count its values
        environment = environment.env
    action, step = int(getattr(environment.action_space, "start", 0)), 0
    try:
        check_reset(name, environment.reset(seed=0), environment.observation_space)
        step = 1
        check_step(name, step, environment.step(action), environment.observation_space)
    except EnvironmentUnusableError:
        raise
    except FOREIGN as error:
        raise raised(name, step, error) from error


def _close(environment: Environment | SyncVectorEnv, name: str) -> None:
    """What it raises is a warning, since it must not hide why it is closed."""
    try:
        environment.close()
    except FOREIGN as error:
        warnings.warn(f"environment.id={name!r} raised {one_line(error)} when it was closed", stacklevel=3)


def _kind(error: BaseException) -> type[EnvironmentUnusableError]:
    return EnvironmentMissingError if isinstance(error, NOT_INSTALLED) else EnvironmentUnusableError


def _unknown_in_module(name: str, registered: Sequence[str]) -> EnvironmentUnusableError:
    module, _, bare = name.partition(":")
    near = difflib.get_close_matches(bare, registered, n=MOST_NAMED, cutoff=0.0)
    more = f" and {len(registered) - len(near)} more" if len(registered) > len(near) else ""
    ids = ", ".join(f"{module}:{other}" for other in near)
    return EnvironmentUnusableError(
        f"environment.id={name!r} is not registered; {module!r} registers {ids}{more}: name one of them"
    )


def _unknown(name: str) -> EnvironmentUnusableError:
    bare = name.rpartition(":")[2]
    namespace, slash, _ = bare.rpartition("/")
    if slash and namespace not in {spec.namespace for spec in gymnasium.registry.values()}:
        package, module = PACKAGES.get(namespace, ("one of its own", "module"))
        return EnvironmentMissingError(
            f"environment.id={name!r} is not registered: what is in {namespace}/ comes with a package ({package}), "
            f"which must be installed and named: environment.id={module}:{bare} environment.allow=[{module}]"
        )
    near = difflib.get_close_matches(bare, list(gymnasium.registry), n=3, cutoff=LIKE)
    misspelt = difflib.get_close_matches(bare, near, n=1, cutoff=ALIKE)
    hint = f"near are {', '.join(near)}" if near else "see `python -c 'import gymnasium; gymnasium.pprint_registry()'`"
    kind = EnvironmentUnusableError if misspelt else EnvironmentMissingError
    return kind(f"environment.id={name!r} is not registered; {hint}; a foreign one is written module:Env-v0")


def _counted_from_zero(environment: Environment) -> Environment:
    """Shifts Discrete spaces that start elsewhere, so that actions and observations are indices everywhere."""
    actions, observations = environment.action_space, environment.observation_space
    if isinstance(actions, spaces.Discrete) and actions.start:
        first = actions.start
        environment = TransformAction(environment, lambda action: action + first, spaces.Discrete(actions.n))
    if isinstance(observations, spaces.Discrete) and observations.start:
        lowest = observations.start
        environment = TransformObservation(environment, lambda seen: seen - lowest, spaces.Discrete(observations.n))
    return environment


def _stacked(environment: Environment, name: str, frames: int) -> Environment:
    if not isinstance(environment.observation_space, spaces.Box):
        raise EnvironmentUnusableError(
            f"environment.frame_stack={frames} stacks frames of a Box, and environment.id={name!r} has observations "
            f"{environment.observation_space}; remove environment.frame_stack"
        )
    # An environment may write every observation into one array; the stack keeps what it is given.
    copied = TransformObservation(environment, np.array, environment.observation_space)
    return FrameStackObservation(copied, frames, padding_type="reset")


def _successes(info: dict[str, Any], copies: int) -> Array:
    if "is_success" not in info:
        return np.full(copies, np.nan)
    return np.where(info["_is_success"], np.asarray(info["is_success"], dtype=np.float64), np.nan)
