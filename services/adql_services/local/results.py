"""A run that was trained elsewhere, made into the folder that `adql train` makes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adql.config import RunSpecification, load_specification
from adql_services.local.report import write_report
from adql_services.local.run_directory import RunDirectory
from adql_services.local.summary import Outcome, greedy_returns, make_summary, write_summary
from adql_services.local.watch import Observation

Tree = Mapping[str, Any]


def complete(
    path: Path, run: Tree, evaluations: Sequence[Tree], process_restarts: int | None, arguments: Sequence[str]
) -> str:
    """Adds summary, report and what else is missing to the parameter server's files in ``path``.

    ``run`` and ``evaluations`` are what the server told. Returns in words how the run stands.
    """
    directory = RunDirectory(path)
    specification = load_specification(directory.specification, environ={})
    for folder in (directory.store, directory.replay, directory.logs):
        folder.mkdir()
    directory.note_command(arguments)
    observation = Observation(dict(run), evaluations=tuple(dict(one) for one in evaluations))
    summary = make_summary(specification, observation, Outcome(observation.status, None, process_restarts))
    write_summary(summary, directory.summary)
    write_report(specification, directory, summary)
    return _told(specification, observation, greedy_returns(summary))


def _told(specification: RunSpecification, observation: Observation, returns: str) -> str:
    return (
        f"{specification.environment.id}, {observation.status}: {returns}; "
        f"{observation.environment_steps} environment steps, {observation.learner_steps} learner steps"
    )
