"""Whether this machine can hold the processes of a run."""

import psutil

from adql.config import RunSpecification
from adql.errors import ConfigError

SERVICES = 4
"""Parameter server, replay, evaluator and launcher."""
PROCESS_BYTES = 70_000_000
"""The least that a process of a run takes: Python, numpy and Gymnasium, before a network or an environment."""


def check_memory(specification: RunSpecification, total_bytes: int | None = None) -> None:
    """Refuses a run whose bare processes do not fit; ``total_bytes``: of the machine, unless given.

    Raises:
        ConfigError: says how much they take and how much there is.
    """
    training, total = specification.training, total_bytes or psutil.virtual_memory().total
    needed = PROCESS_BYTES * (training.learners + training.actors + SERVICES)
    if needed > total:
        raise ConfigError(
            f"training.learners={training.learners} and training.actors={training.actors} take at least "
            f"{needed / 1e9:.1f} GB as processes, this machine has {total / 1e9:.1f}; lower them"
        )
