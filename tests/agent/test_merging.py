"""What learners send and how they take answers, with a server's arithmetic written out beside them."""

import numpy as np
import pytest

from adql.agent.merging import elastic_alpha, make_merge, restart
from adql.config import UpdateSettings

BASE, LOCAL, LATER, SERVER = (np.random.default_rng(i).normal(size=5) for i in range(4))


@pytest.mark.parametrize(("rule", "sent"), [("average", LOCAL), ("delta", LOCAL - BASE), ("gradient", LOCAL)])
def test_each_rule_sends_its_own_quantity(rule: str, sent: np.ndarray) -> None:
    local = LOCAL.copy()
    outgoing = make_merge(UpdateSettings(rule=rule)).outgoing(local, BASE, learners=2)
    local += 1.0  # the learner goes on while the push is under way
    np.testing.assert_array_equal(outgoing, sent)


@pytest.mark.parametrize("rule", ["average", "delta"])
def test_steps_made_during_the_push_stay_on_top_of_the_answer(rule: str) -> None:
    merge, local = make_merge(UpdateSettings(rule=rule)), LOCAL.copy()
    sent = merge.outgoing(local, BASE, learners=2)
    local += LATER
    merge.merge(local, BASE, sent, SERVER)
    np.testing.assert_allclose(local, SERVER + LATER, atol=1e-14)


@pytest.mark.parametrize("rule", ["average", "delta", "gradient"])
def test_without_overlap_the_learner_ends_at_the_answer(rule: str) -> None:
    merge, local = make_merge(UpdateSettings(rule=rule)), LOCAL.copy()
    merge.merge(local, BASE, merge.outgoing(local, BASE, learners=2), SERVER)
    np.testing.assert_allclose(local, SERVER, atol=1e-14)


def test_elastic_moves_both_sides_by_the_same_difference() -> None:
    merge, local = make_merge(UpdateSettings(rule="elastic")), LOCAL.copy()
    sent = merge.outgoing(local, BASE, learners=4)
    local += LATER
    merge.merge(local, BASE, sent, SERVER + sent)
    np.testing.assert_allclose(sent, 0.225 * (LOCAL - BASE))
    np.testing.assert_allclose(local + (SERVER + sent), LOCAL + LATER + SERVER)


@pytest.mark.parametrize("rule", ["average", "delta", "gradient", "elastic"])
def test_a_refused_push_takes_the_pulled_parameters_and_nothing_else(rule: str) -> None:
    merge, local = make_merge(UpdateSettings(rule=rule)), LOCAL.copy()
    merge.outgoing(local, BASE, learners=2)
    restart(local, SERVER)
    np.testing.assert_array_equal(local, SERVER)


@pytest.mark.parametrize(("learners", "alpha"), [(0, 0.45), (1, 0.45), (2, 0.45), (3, 0.3), (8, 0.1125)])
def test_default_elastic_alpha_shrinks_with_the_live_learners(learners: int, alpha: float) -> None:
    assert elastic_alpha(UpdateSettings(rule="elastic"), learners) == pytest.approx(alpha)


def test_a_set_elastic_alpha_holds_for_any_number_of_learners() -> None:
    assert elastic_alpha(UpdateSettings(rule="elastic", elastic_alpha=0.2), learners=50) == 0.2


@pytest.mark.parametrize("learners", [1, 2, 8, 32])
def test_elastic_learners_and_server_contract_when_all_push_on_one_base(learners: int) -> None:
    """Worst case: every learner measures d on the same base, so that the server takes all of them at once."""
    merge, server = make_merge(UpdateSettings(rule="elastic")), np.zeros(3)
    locals_ = list(np.random.default_rng(0).normal(size=(learners, 3)) + 5.0)
    for _ in range(200 * learners):
        sent = [merge.outgoing(local, server, learners) for local in locals_]
        server = server + sum(sent)
        for local, d in zip(locals_, sent, strict=True):
            merge.merge(local, server, d, server)
    assert max(np.abs(local - server).max() for local in locals_) < 1e-6
