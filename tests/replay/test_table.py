import numpy as np
import pytest

from adql.errors import InputError, InvalidTransitionError, RateLimitedError, SupersededSequenceError
from adql.replay import ReplayTable
from tests.clocks import Clock
from tests.replay.tables import make_table, numbers_of, transitions


def filled(count: int, **settings):
    table = make_table(**settings)
    for chunk in range(count):
        table.insert("a", chunk, transitions(chunk, 1))
    return table


@pytest.mark.parametrize("prioritised", [False, True])
def test_every_sampled_transition_is_an_inserted_one_byte_for_byte(prioritised):
    table = filled(50, capacity=32, prioritised=prioritised)
    sampled = table.sample("a", 4, 16)
    assert numbers_of(sampled.columns) == list(sampled.item_ids)
    assert set(sampled.item_ids) <= set(range(18, 50))
    assert table.check_valid() == []


@pytest.mark.parametrize("prioritised", [False, True])
def test_the_oldest_transitions_are_evicted_first(prioritised):
    table = filled(40, capacity=32, prioritised=prioritised)
    seen = {number for _ in range(20) for number in numbers_of(table.sample("a", 1, 64).columns)}
    assert seen == set(range(8, 40))


def test_a_chunk_may_go_round_the_end_of_the_ring():
    table = make_table(capacity=32)
    for first in range(0, 90, 9):
        table.insert("a", first, transitions(first, 9))
    assert set(numbers_of(table.sample("a", 1, 64).columns)) <= set(range(58, 90))
    assert len(table) == 32


def test_sampled_arrays_own_their_memory():
    table = filled(32)
    sampled = table.sample("a", 1, 8)
    before = sampled.columns["reward"].copy()
    table.insert("b", 0, transitions(100, 32))
    assert all(column.flags.owndata for column in sampled.columns.values())
    np.testing.assert_array_equal(sampled.columns["reward"], before)


def test_a_repeated_chunk_is_answered_and_not_inserted_again():
    table = make_table()
    first = table.insert("a", 5, transitions(0, 3))
    again = table.insert("a", 5, transitions(0, 3))
    assert (first.inserted, first.duplicate) == (3, False)
    assert (again.inserted, again.duplicate, len(table)) == (3, True, 3)


def test_the_same_chunk_number_of_another_session_is_another_chunk():
    table = make_table()
    table.insert("a", 0, transitions(0, 3))
    assert not table.insert("b", 0, transitions(3, 3)).duplicate


def test_a_chunk_older_than_the_last_one_is_refused_aloud():
    table = make_table()
    table.insert("a", 5, transitions(0, 3))
    with pytest.raises(SupersededSequenceError, match="chunk 4 of session a, which has already inserted chunk 5"):
        table.insert("a", 4, transitions(0, 3))
    assert len(table) == 3


def test_a_refused_chunk_may_come_again_under_its_number():
    table = make_table(ratio=1.0, min_size=1, request=2, chunk=4)
    table.insert("a", 0, transitions(0, 5))
    with pytest.raises(RateLimitedError) as refusal:
        table.insert("a", 1, transitions(5, 4))
    assert refusal.value.details["retry_after_ms"] > 0
    table.sample("a", 2, 1)
    table.sample("a", 2, 1)
    assert not table.insert("a", 1, transitions(5, 4)).duplicate


def test_nothing_is_sampled_below_min_size():
    table = filled(9, min_size=10)
    with pytest.raises(RateLimitedError, match="below min_size"):
        table.sample("a", 1, 1)
    table.insert("a", 9, transitions(9, 1))
    assert len(table.sample("a", 1, 4).item_ids) == 4


def test_more_live_learners_widen_the_bound_and_the_silent_ones_narrow_it_again():
    clock = Clock()
    table = make_table(ratio=1.0, request=4, chunk=1, clock=clock)
    table.insert("a", 0, transitions(0, 1))
    for session in "abcd":
        table.sample(session, 1, 1)
    assert (table.statistics().learners, table.statistics().bound) == (4, 32)
    clock.now = 31.0
    table.sample("a", 1, 1)
    assert (table.statistics().learners, table.statistics().bound) == (1, 8)


def test_sessions_that_only_insert_do_not_widen_the_bound_and_one_that_only_samples_does():
    table = make_table(ratio=1.0, request=4, chunk=1)
    for session in "abcd":
        table.insert(session, 0, transitions(0, 1))
    assert (table.statistics().learners, table.statistics().bound) == (0, 8)
    table.sample("learner", 1, 1)
    assert (table.statistics().learners, table.statistics().bound) == (1, 8)
    table.sample("other", 1, 1)
    assert (table.statistics().learners, table.statistics().bound) == (2, 16)


def test_insert_renews_the_lease_of_a_learner_and_wakes_no_silent_one():
    clock = Clock()
    table = make_table(clock=clock)
    table.insert("a", 0, transitions(0, 1))
    table.sample("a", 1, 1)
    found = []
    for clock.now, chunk in ((29.0, 1), (58.0, 2), (88.0, 3)):
        table.insert("a", chunk, transitions(0, 1))
        found.append(table.statistics().learners)
    assert found == [1, 1, 0]


@pytest.mark.parametrize("samplers", [1, 3])
def test_many_that_only_insert_and_few_that_only_sample_never_lock_up(samplers: int):
    """Whoever is refused comes again in turn; both sides keep moving, within the law."""
    table, chunks = make_table(ratio=4.0, min_size=4, request=8, chunk=4), {f"actor-{i}": 0 for i in range(5)}
    for _ in range(200):
        moved = [_inserted(table, chunks, actor) for actor in chunks]
        moved += [_sampled(table, f"learner-{i}") for i in range(samplers)]
        assert any(moved)
    statistics = table.statistics()
    assert abs(statistics.error) <= statistics.bound == 2 * 8 * samplers
    assert statistics.inserts > 300


def _inserted(table: ReplayTable, chunks: dict[str, int], actor: str) -> bool:
    try:
        table.insert(actor, chunks[actor], transitions(0, 4))
    except RateLimitedError:
        return False
    chunks[actor] += 1
    return True


def _sampled(table: ReplayTable, learner: str) -> bool:
    try:
        table.sample(learner, 1, 8)
    except RateLimitedError:
        return False
    return True


def test_new_priorities_change_what_is_drawn():
    table = filled(4, prioritised=True)
    result = table.update_priorities(1, np.arange(4), np.array([0, 0, 1_000, 0], np.float32))
    assert (result.updated, result.ignored) == (4, 0)
    drawn = table.sample("a", 1, 64).item_ids
    assert (drawn == 2).mean() > 0.9


def test_priorities_of_evicted_and_of_unknown_items_are_ignored_and_counted():
    table = filled(40, capacity=32, prioritised=True)
    ids = np.array([0, 7, 8, 39, 40, -1])
    result = table.update_priorities(1, ids, np.ones(6, np.float32))
    assert (result.updated, result.ignored) == (2, 4)
    assert table.check_valid() == []


def test_priorities_of_another_incarnation_are_ignored():
    table = filled(8, prioritised=True, incarnation=5)
    assert table.update_priorities(4, np.arange(8), np.ones(8, np.float32)).ignored == 8


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_priorities_that_are_not_finite_are_refused_whole(value):
    table = filled(8, prioritised=True)
    with pytest.raises(InvalidTransitionError, match="td_error is not finite in row 1"):
        table.update_priorities(1, np.arange(2), np.array([1, value], np.float32))
    assert set(table.sample("a", 1, 64).probabilities) == {1 / 8}


def test_batches_given_back_count_as_never_sampled_and_only_once():
    table = filled(8)
    sampled = table.sample("a", 4, 8)
    batches = [sampled.first_batch + 1, sampled.first_batch + 3]
    assert table.give_back(1, batches) == 2
    assert table.give_back(1, batches) == 0
    assert table.statistics().samples == 16


def test_batches_of_another_incarnation_are_not_taken_back():
    table = filled(8, incarnation=5)
    sampled = table.sample("a", 1, 8)
    assert table.give_back(4, [sampled.first_batch]) == 0
    assert table.statistics().samples == 8


def test_a_request_larger_than_the_limiter_was_built_for_is_refused():
    with pytest.raises(InputError, match="5 batches of 16 transitions, at most 64"):
        filled(8).sample("a", 5, 16)


def test_td_errors_of_the_inserter_are_first_priorities():
    table = make_table(prioritised=True)
    table.insert("a", 0, transitions(0, 2), np.array([1_000, 0], np.float32))
    assert (table.sample("a", 1, 64).item_ids == 0).mean() > 0.9


def test_an_insert_larger_than_the_table_is_refused():
    with pytest.raises(InputError, match="insert of 33 transitions into a table of 32"):
        make_table(capacity=32).insert("a", 0, transitions(0, 33))


def test_sessions_are_remembered_up_to_a_bound():
    table = make_table(capacity=8)
    for number in range(5_000):
        table.insert(f"s{number}", 0, transitions(number, 1))
        table.sample(f"s{number}", 1, 1)
    assert table.statistics().learners == 4_096
    assert len(table.state().chunks) == 4_096
