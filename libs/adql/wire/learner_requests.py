"""The bodies of a learner's two requests: to lease a session, and to push an update."""

import msgspec

from adql.wire import codec
from adql.wire.unacknowledged import HeldUpdate


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
    return codec.encode(fields, {"update": update.vector})
