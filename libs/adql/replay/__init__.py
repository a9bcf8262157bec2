"""The replay table and its parts: numpy only; only ``snapshot`` and its ``segments`` touch files."""

from adql.replay.rate_limiter import RateLimiter
from adql.replay.records import Columns, InsertResult, PriorityResult, SampledBatches, TableState, TableStatistics
from adql.replay.schema import TransitionSchema
from adql.replay.selectors import PrioritisedSelector, Selector, UniformSelector
from adql.replay.sessions import Sessions
from adql.replay.snapshot import Snapshots
from adql.replay.sum_tree import SumTree
from adql.replay.table import ReplayTable

__all__ = [
    "Columns",
    "InsertResult",
    "PrioritisedSelector",
    "PriorityResult",
    "RateLimiter",
    "ReplayTable",
    "SampledBatches",
    "Selector",
    "Sessions",
    "Snapshots",
    "SumTree",
    "TableState",
    "TableStatistics",
    "TransitionSchema",
    "UniformSelector",
]
