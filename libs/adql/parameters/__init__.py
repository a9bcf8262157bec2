"""The parameter server's mathematics and store: initial parameters, optimizers, update rules.

``WeightStore`` is not among these names: it alone needs redis, and learners, which import this room, do not.
"""

from adql.parameters.applying import PushResult
from adql.parameters.initial import initial_parameters, manifest_of
from adql.parameters.optimizers import Optimizer, make_optimizer
from adql.parameters.server import ParameterServer
from adql.parameters.update_rules import Step, UpdateRule, make_update_rule

__all__ = [
    "Optimizer",
    "ParameterServer",
    "PushResult",
    "Step",
    "UpdateRule",
    "initial_parameters",
    "make_optimizer",
    "make_update_rule",
    "manifest_of",
]
