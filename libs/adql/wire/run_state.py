"""The run's state as it travels in the header ``ADQL-State`` of every answer of the parameter server below 400."""

from collections.abc import Mapping

import msgspec

from adql.errors import MalformedBodyError, OtherRunError
from adql.types import Clocks, RunState, Version
from adql.wire import routes


class _Header(msgspec.Struct):
    run_id: str
    epoch: int
    version: int
    durable_epoch: int
    durable_version: int
    environment_steps: int
    learner_steps: int
    status: str
    learners: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Header)


def to_header(state: RunState) -> str:
    """Returns ``state`` as compact JSON."""
    header = _Header(
        state.run_id,
        *state.version,
        *state.durable,
        state.clocks.environment_steps,
        state.clocks.learner_steps,
        state.status,
        state.learners,
    )
    return _encoder.encode(header).decode("ascii")


def same_run(before: RunState | None, now: RunState) -> RunState:
    """Returns ``now``.

    Raises:
        OtherRunError: a former answer of the same server was ``before``, of another run.
    """
    if before is not None and now.run_id != before.run_id:
        raise OtherRunError(f"the server now has run id {now.run_id!r}, not {before.run_id!r}; start afresh")
    return now


def from_headers(headers: Mapping[str, str]) -> RunState:
    """Reads the state from an answer's headers (names in lower case).

    Raises:
        MalformedBodyError: it is missing or not what this wire number asks for.
    """
    try:
        header = _decoder.decode(headers[routes.STATE_HEADER])
    except (KeyError, msgspec.MsgspecError):
        raise MalformedBodyError("the answer carries no run state; is this address a parameter server?") from None
    return RunState(
        header.run_id,
        Version(header.epoch, header.version),
        Version(header.durable_epoch, header.durable_version),
        Clocks(header.environment_steps, header.learner_steps),
        header.status,
        header.learners,
    )
