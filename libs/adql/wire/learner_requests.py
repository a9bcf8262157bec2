"""The bodies of a learner's two requests: to lease a session, and to push an update, plain or packed."""

import msgspec

from adql.errors import MalformedBodyError
from adql.types import Array, ArraySpec
from adql.wire import codec
from adql.wire.packing import unpack
from adql.wire.unacknowledged import HeldUpdate

PLAIN, PACKED = "update", "update_zstd"
"""The one array of an update's body is called one or the other."""


class Registered(msgspec.Struct):
    """The session that was leased."""

    session: str
    slot: int
    lease_seconds: float


def registration_body(run: str, config_hash: str, role: str) -> list[codec.Buffer]:
    """Returns what asks for a session."""
    return [msgspec.json.encode({"wire": codec.WIRE, "run": run, "config_hash": config_hash, "role": role})]


def update_body(update: HeldUpdate, session: str, config_hash: str, run_id: str) -> list[codec.Buffer]:
    """Returns what pushes ``update``; its vector is not copied."""
    fields: dict[str, codec.Field] = {
        "session": session,
        "sequence": update.sequence,
        "epoch": update.based_on.epoch,
        "version": update.based_on.number,
        "learner_steps": update.learner_steps,
        "environment_steps": update.environment_steps,
        "config_hash": config_hash,
        "run_id": run_id,
    }
    return codec.encode(fields, {PACKED if update.packed else PLAIN: update.vector})


def read_update(body: codec.Buffer, size: int, encoding: str) -> codec.Message:
    """Returns the message whose one array ``update_vector`` reads.

    Raises:
        MalformedBodyError: as ``codec.decode``, or it holds not one array.
    """
    either = [ArraySpec(PLAIN, (size,), encoding), ArraySpec(PACKED, (codec.ANY,), "uint8")]
    message = codec.decode(body, [], optional=either)
    if len(message.arrays) != 1:
        raise MalformedBodyError(f"body must hold one array, {PLAIN} or {PACKED}")
    return message


def update_vector(message: codec.Message, size: int, encoding: str) -> Array:
    """Returns the update (P,) in its encoding; unpacking 7 MB takes milliseconds.

    Raises:
        MalformedBodyError: the packed one holds anything else than ``size`` numbers of ``encoding``.
    """
    plain = message.arrays.get(PLAIN)
    return unpack(message.arrays[PACKED], size, encoding) if plain is None else plain
