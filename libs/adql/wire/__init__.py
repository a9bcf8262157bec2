"""How the parts speak: the binary body, resources, problems, the lean HTTP connection and retries."""

from adql.wire.codec import Message, decode, encode
from adql.wire.connection import Connection, Response
from adql.wire.evaluation_client import EvaluationClient, EvaluationResult, EvaluationTask
from adql.wire.parameter_client import ParameterClient
from adql.wire.replay_client import ReplayClient
from adql.wire.retry import Backoff, call_with_retry

__all__ = [
    "Backoff",
    "Connection",
    "EvaluationClient",
    "EvaluationResult",
    "EvaluationTask",
    "Message",
    "ParameterClient",
    "ReplayClient",
    "Response",
    "call_with_retry",
    "decode",
    "encode",
]
