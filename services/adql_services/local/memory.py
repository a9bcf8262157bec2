"""Whether this machine and its store can hold what a run needs."""

import psutil

from adql.config import RunSpecification
from adql.errors import ConfigError
from adql.parameters.initial import manifest_of

SERVICES = 4
"""Parameter server, replay, evaluator and launcher."""
PROCESS_BYTES = 70_000_000
"""The least that a process of a run takes: Python, numpy and Gymnasium, before a network or an environment."""
VECTORS = 3
"""The least copies of its parameters that a learner, an actor, the parameter server or the evaluator holds."""
MAX_PARAMETERS = 2**27
"""512 MiB of float32: no value in a Redis or Valkey may be longer."""


def check_memory(specification: RunSpecification, total_bytes: int | None = None) -> None:
    """Refuses a network that no store takes, and a run that does not fit; ``total_bytes``: of the machine.

    Raises:
        ConfigError: says how much they take and how much there is.
    """
    training, total = specification.training, total_bytes or psutil.virtual_memory().total
    parameters = manifest_of(specification.network, specification.signature).size
    if parameters > MAX_PARAMETERS:
        raise ConfigError(
            f"the network has {parameters:,} parameters, a store keeps at most {MAX_PARAMETERS:,}; make it smaller"
        )
    processes = training.learners + training.actors + SERVICES
    needed = processes * PROCESS_BYTES + (processes - 2) * VECTORS * 4 * parameters
    if needed > total:
        raise ConfigError(
            f"training.learners={training.learners} and training.actors={training.actors} take at least "
            f"{needed / 1e9:.1f} GB as processes with {parameters:,} parameters, this machine has "
            f"{total / 1e9:.1f}; lower them, or make the network smaller"
        )
