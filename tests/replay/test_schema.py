import numpy as np
import pytest

from adql.errors import InvalidTransitionError
from adql.replay import TransitionSchema
from adql.types import ArraySpec
from tests.replay.tables import make_table, transitions


def with_value(name, value, row=1):
    columns = transitions(0, 3)
    columns[name][row] = value
    return columns


POISON = [
    ("observation", np.nan),
    ("next_observation", np.inf),
    ("reward", -np.inf),
    ("discount", np.nan),
    ("discount", 1.001),
    ("discount", -0.001),
    ("action", 3),
    ("action", -1),
]


@pytest.mark.parametrize(("name", "value"), POISON)
def test_one_poisoned_value_refuses_the_whole_insert_and_names_the_column(name, value):
    table = make_table()
    with pytest.raises(InvalidTransitionError, match=rf"^{name} .*nothing was inserted") as refusal:
        table.insert("a", 0, with_value(name, value))
    assert refusal.value.details == {"field": name}
    assert (len(table), table.state().chunks) == (0, {})


@pytest.mark.parametrize("name", list(transitions(0, 1)))
def test_another_dtype_or_shape_is_refused_by_column(name):
    for wrong in (transitions(0, 3)[name].astype(np.float16), transitions(0, 3)[name][:, None]):
        with pytest.raises(InvalidTransitionError, match=f"^{name} is "):
            make_table().insert("a", 0, {**transitions(0, 3), name: wrong})


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(InvalidTransitionError, match=r"reward is float32\[2\], must be float32\[3\]"):
        make_table().insert("a", 0, {**transitions(0, 3), "reward": transitions(0, 2)["reward"]})


@pytest.mark.parametrize("missing", list(transitions(0, 1)))
def test_a_missing_column_is_refused(missing):
    columns = {name: column for name, column in transitions(0, 3).items() if name != missing}
    with pytest.raises(InvalidTransitionError, match="columns "):
        make_table().insert("a", 0, columns)


def test_an_insert_of_nothing_is_refused():
    with pytest.raises(InvalidTransitionError, match="no transition"):
        make_table().insert("a", 0, transitions(0, 0))


def test_td_errors_of_another_length_are_refused():
    with pytest.raises(InvalidTransitionError, match="td_error is"):
        make_table().insert("a", 0, transitions(0, 3), np.zeros(2, np.float32))


@pytest.mark.parametrize("observation", [-1, 5])
def test_a_discrete_observation_out_of_range_is_refused(observation):
    columns = (
        ArraySpec("observation", (), "int64"),
        *(ArraySpec("action", (), "int32"), ArraySpec("reward", ()), ArraySpec("discount", ())),
        ArraySpec("next_observation", (), "int64"),
    )
    schema = TransitionSchema(columns, actions=3, observations=5)
    discrete = {**transitions(0, 1), "observation": np.array([2]), "next_observation": np.array([4])}
    assert schema.check(discrete) == 1
    with pytest.raises(InvalidTransitionError, match=f"next_observation {observation} is outside 0..4"):
        schema.check({**discrete, "next_observation": np.array([observation])})
