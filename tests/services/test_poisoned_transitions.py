"""One unfit number or column in an insert: 422 with the column's name, and nothing of the insert is in the table."""

import json

import numpy as np
import pytest

from adql.config import config_hash
from adql.types import TransitionBatch
from adql.wire import codec, routes
from tests.replay.tables import numbers_of, transitions
from tests.services.plain_http import Answer, ask
from tests.services.replay_process import FREE, replay_client, running_replay

pytestmark = pytest.mark.system
ROWS = 50
BINARY = {"Content-Type": routes.BINARY}

VALUES = [
    *(("observation", np.nan), ("observation", np.inf), ("next_observation", -np.inf), ("reward", np.nan)),
    *(("reward", np.inf), ("discount", np.nan), ("discount", 1.001), ("discount", 2.0), ("discount", -0.001)),
    *(("discount", -1.0), ("action", 3), ("action", -1), ("action", 2**31 - 1), ("action", -(2**31))),
]
COLUMNS = {
    "observation": transitions(0, ROWS)["observation"].astype(np.float64),
    "next_observation": transitions(0, ROWS)["next_observation"][:, :3].copy(),
    "action": transitions(0, ROWS)["action"].astype(np.int64),
    "reward": transitions(0, ROWS)["reward"][:-1].copy(),
    "discount": transitions(0, ROWS)["discount"].reshape(ROWS, 1),
}


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    with running_replay(tmp_path_factory.mktemp("replay"), FREE) as running:
        yield running


def insert(replay, columns, chunk: int = 0, session: str = "poisoner") -> Answer:
    fields = {"session": session, "chunk": chunk, "config_hash": config_hash(FREE)}
    return ask(replay.address, "POST", routes.INSERT, BINARY, b"".join(codec.encode(fields, columns)))


def inserts(replay) -> tuple[int, int]:
    table = json.loads(ask(replay.address, "GET", routes.TABLE).body)
    return table["inserts"], table["size"]


def check_refused(replay, columns, name: str) -> None:
    """Also the chunk's number is free still: the same chunk, mended, is inserted and no duplicate."""
    before = inserts(replay)
    answer = insert(replay, columns, session=f"poisoner of {name}")
    problem = json.loads(answer.body)
    assert answer.status == 422 and name in problem["detail"], problem
    assert inserts(replay) == before


@pytest.mark.parametrize(("name", "value"), VALUES)
@pytest.mark.parametrize("row", [0, ROWS - 1])
def test_one_unfit_number_refuses_the_whole_insert_by_its_column(replay, name, value, row):
    columns = transitions(0, ROWS)
    columns[name][row] = value
    check_refused(replay, columns, name)
    assert json.loads(insert(replay, columns).body)["field"] == name


@pytest.mark.parametrize("name", COLUMNS)
def test_column_of_another_shape_or_dtype_refuses_the_whole_insert_by_its_name(replay, name):
    check_refused(replay, {**transitions(0, ROWS), name: COLUMNS[name]}, name)


def test_refused_chunk_that_was_mended_is_inserted_under_its_number(replay):
    columns = transitions(0, ROWS)
    columns["reward"][7] = np.nan
    assert insert(replay, columns, session="mended").status == 422
    answer = json.loads(insert(replay, transitions(0, ROWS), session="mended").body)
    assert (answer["inserted"], answer["duplicate"]) == (ROWS, False)


def test_table_that_is_poisoned_all_the_time_gives_out_nothing_but_what_was_whole(replay):
    client = replay_client(replay.address, FREE, session="clean")
    for first in range(0, 2_000, ROWS):
        assert client.insert(TransitionBatch(**transitions(first, ROWS)))
        name, value = VALUES[first // ROWS % len(VALUES)]
        columns = transitions(first, ROWS)
        columns[name][first % ROWS] = value
        assert insert(replay, columns).status == 422
    client.begin_sample(8, 32)
    for sample in client.finish_sample():
        assert len(numbers_of(sample.transitions.columns())) == 32
    client.close()
