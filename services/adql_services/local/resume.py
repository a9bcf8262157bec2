"""``adql resume``: goes on with a run where it stopped."""

from collections.abc import Sequence
from pathlib import Path

from adql.config import RunSpecification, differences, load_specification
from adql.config.identity import IDENTITY
from adql.errors import ConfigError, InputError
from adql.wire.replay_format import check_table
from adql_services.local.addresses import remove_abandoned
from adql_services.local.keeper import named_store
from adql_services.local.memory import check_memory
from adql_services.local.returns import return_text
from adql_services.local.run import LocalRun
from adql_services.local.run_directory import NEEDED_BYTES, RunDirectory
from adql_services.local.stopping import StopRequest
from adql_services.local.summary import Tree, read_summary

FIXED = {**IDENTITY, "run": True}
"""The keys that define a run; all others may change."""


def resume(path: Path, assignments: Sequence[str], arguments: Sequence[str]) -> int:
    """Goes on with the run in ``path``; ``assignments`` change keys that do not define it. Returns 0.

    Raises:
        InputError: no run there, a key that may not change, or the run is over.
    """
    directory = RunDirectory.open(path)
    directory.check_space(NEEDED_BYTES)
    directory.check_store(named_store() is not None)
    specification = changed(directory.specification, assignments)
    check_memory(specification)
    check_table(specification)
    check_not_over(path, specification, read_summary(directory.summary))
    directory.write_specification(specification)
    remove_abandoned()
    directory.note_command(arguments)
    return LocalRun(specification, directory, StopRequest().listen()).run()


def changed(file: Path, assignments: Sequence[str]) -> RunSpecification:
    """Returns the specification in ``file`` with ``assignments``; ADQL_* variables change nothing in it any more.

    Raises:
        ConfigError: a key that defines the run would change.
    """
    before = load_specification(file, environ={})
    after = load_specification(file, assignments, environ={})
    found = differences(before.model_dump(mode="json", include=FIXED), after.model_dump(mode="json", include=FIXED))
    if found:
        raise ConfigError(
            f"{'; '.join(found)}: this defines the run and cannot change; "
            "leave it out, or start another run with `adql train`"
        )
    return after


def check_not_over(path: Path, specification: RunSpecification, summary: Tree) -> None:
    """Refuses to go on with a run whose goal is reached, whose budget is spent or that stopped improving.

    Raises:
        InputError: says how to go on all the same.
    """
    steps, evaluation = summary.get("environment_steps", 0), summary.get("evaluation") or {}
    mean: float | None = evaluation.get("mean_return")
    goal = specification.goal
    if summary.get("reached") and mean is not None and goal is not None and mean >= goal:
        reached = return_text(mean, goal)
        raise InputError(
            f"{path} is over: it reached {reached}, the goal is {return_text(goal)}; "
            f"go on with a higher training.goal if returns can be higher: `adql resume {path} training.goal=…`, "
            "or start another run with `adql train`"
        )
    if steps >= specification.training.environment_steps:
        raise InputError(
            f"{path} is over: {steps} environment steps, the budget is {specification.training.environment_steps}; "
            f"go on with a larger one: `adql resume {path} training.environment_steps={2 * steps}`"
        )
    flat, limit = summary.get("evaluations_without_improvement", 0), specification.training.plateau_evaluations
    if limit is not None and flat >= limit:
        raise InputError(
            f"{path} is over: {flat} evaluations without improvement, training.plateau_evaluations is {limit}; "
            f"go on with a larger one: `adql resume {path} training.plateau_evaluations={2 * flat}`"
        )
