import msgspec
import numpy as np
import pytest

from adql.errors import InputError
from adql.parameters.restoring import restored
from adql.parameters.state import Mark, RunIdentity, State, StateRecord
from adql.parameters.watermark import VolumeRecord
from tests.parameters.servers import tiny_specification

RECORD = StateRecord(RunIdentity.of(tiny_specification(), "run-1"), [])


def state(epoch: int, number: int, commit: int, run_id: str = "run-1") -> State:
    identity = msgspec.structs.replace(RECORD.identity, run_id=run_id)
    record = msgspec.structs.replace(RECORD, identity=identity)
    return State(Mark(epoch, number, commit, "old"), np.full(3, number, np.float32), {}, record)


def known(epoch: int, version: int, commit: int) -> VolumeRecord:
    return VolumeRecord("adql", "run-1", epoch, version, commit)


def test_empty_store_gets_the_checkpoint_under_an_epoch_beyond_all_that_was_announced():
    found = restored(state(2, 50, 9), None, known(3, 70, 12), "new")
    assert found.mark == Mark(4, 50, 13, "new")
    assert found.record.earlier_epochs == {2: 50}


def test_store_that_is_older_than_announced_but_newer_than_the_checkpoint_keeps_its_own_state():
    found = restored(state(1, 50, 9), state(1, 60, 11), known(1, 70, 12), "new")
    assert (found.mark, found.parameters[0]) == (Mark(2, 60, 13, "new"), 60)


@pytest.mark.parametrize("held", [state(1, 70, 12), state(2, 1, 13)])
def test_store_that_lost_nothing_is_never_replaced(held):
    with pytest.raises(InputError, match="has lost nothing"):
        restored(state(1, 50, 9), held, known(1, 70, 12), "new")


def test_another_run_of_that_name_is_never_replaced():
    with pytest.raises(InputError, match="another run"):
        restored(state(1, 50, 9), state(1, 1, 1, "run-2"), None, "new")


def test_damaged_state_is_followed_by_the_checkpoint_under_a_later_epoch():
    found = restored(state(1, 50, 9), None, known(1, 70, 12), "new", damaged=Mark(3, 80, 15, "old"))
    assert (found.mark.epoch, found.mark.number, found.mark.commit) == (4, 50, 16)


def test_whole_store_goes_on_where_only_the_watermark_was_lost():
    found = restored(state(1, 50, 9), state(1, 60, 11), None, "new", watermark_lost=True)
    assert (found.mark.epoch, found.mark.number) == (2, 60)
