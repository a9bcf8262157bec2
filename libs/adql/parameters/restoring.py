"""Which state a lost store gets back, and under which mark: pure functions."""

import msgspec

from adql.errors import InputError
from adql.parameters.state import Mark, State
from adql.parameters.watermark import VolumeRecord


def restored(
    checkpoint: State,
    held: State | None,
    known: VolumeRecord | None,
    owner: str,
    *,
    damaged: Mark | None = None,
    watermark_lost: bool = False,
) -> State:
    """Returns the state to commit in place of ``held``: the newer of it and ``checkpoint``, under a new epoch.

    ``known`` is what the volume had announced; with ``watermark_lost`` nobody knows, and a store that is whole goes on.
    ``damaged`` marks a stored state that cannot be read any more: the new one comes after it. Later versions than the
    returned one never happened: updates that are based on them will be refused as stale.

    Raises:
        InputError: the store has lost nothing, or it holds another run of that name; nothing may be replaced.
    """
    state = checkpoint
    if held is not None:
        _check_same_run(checkpoint, held)
        if not watermark_lost:
            _check_lost(checkpoint, held, known)
        state = held if held.mark[:3] > checkpoint.mark[:3] else checkpoint
    marks = [checkpoint.mark[:3], *([held.mark[:3]] if held else []), *([known.order] if known else [])]
    marks += [damaged[:3]] if damaged else []
    mark = Mark(max(mark[0] for mark in marks) + 1, state.mark.number, max(mark[2] for mark in marks) + 1, owner)
    earlier = {**state.record.earlier_epochs, state.mark.epoch: state.mark.number}
    return State(mark, state.parameters, state.arrays, msgspec.structs.replace(state.record, earlier_epochs=earlier))


def _check_same_run(checkpoint: State, held: State) -> None:
    ours, theirs = checkpoint.record.identity, held.record.identity
    if theirs.run_id != ours.run_id:
        raise InputError(
            f"the store holds another run named {theirs.name!r} (id {theirs.run_id}, the checkpoint is of "
            f"{ours.run_id}); it is not replaced: name another store with ADQL_REDIS_URL"
        )


def _check_lost(checkpoint: State, held: State, known: VolumeRecord | None) -> None:
    newest = max(checkpoint.mark[:3], known.order if known else (0, 0, 0))
    if held.mark[:3] >= newest:
        raise InputError(
            f"the store has lost nothing: it holds version {held.mark.version}, the newest checkpoint is "
            f"{checkpoint.mark.version}; nothing is to be put back"
        )
