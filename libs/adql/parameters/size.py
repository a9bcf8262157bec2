"""How many bytes one durable state of a run has, known before there is any."""

from adql.config import RunSpecification
from adql.parameters.initial import manifest_of
from adql.parameters.update_rules import make_update_rule

RECORD_BYTES = 64 * 1024
"""Room for everything that is not an array."""


def state_bytes(specification: RunSpecification) -> int:
    """Returns the bytes of parameters, arrays of the update rule and record.

    Raises:
        ConfigError: the environment has no signature yet.
    """
    size = manifest_of(specification.network, specification.signature).size
    rule = make_update_rule(specification.update, specification.algorithm, size)
    return 4 * size + sum(array.nbytes for array in rule.state().values()) + RECORD_BYTES
