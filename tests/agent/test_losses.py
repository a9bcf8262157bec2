"""Targets, errors and losses on rows worked out by hand, and the gradient against torch."""

import numpy as np
import pytest
import torch

from adql.agent import losses
from adql.types import Array

REWARD = np.array([1.0, 0.0, -2.0])
DISCOUNT = np.array([0.9, 0.5, 0.0])
NEXT_ONLINE = np.array([[1.0, 2.0], [5.0, 3.0], [0.0, 9.0]])
NEXT_TARGET = np.array([[10.0, 4.0], [-2.0, 8.0], [7.0, 7.0]])
ERRORS, ACTIONS = np.array([0.5, -3.0, 2.0]), np.array([1, 0, 1])

torch.set_num_threads(1)


def test_plain_targets_take_the_target_networks_maximum() -> None:
    targets = losses.td_targets(REWARD, DISCOUNT, NEXT_TARGET)
    np.testing.assert_allclose(targets, [1 + 0.9 * 10, 0.5 * 8, -2])


def test_double_targets_value_the_online_networks_choice() -> None:
    targets = losses.td_targets(REWARD, DISCOUNT, NEXT_TARGET, NEXT_ONLINE)
    np.testing.assert_allclose(targets, [1 + 0.9 * 4, 0.5 * -2, -2])


@pytest.mark.parametrize("online", [None, NEXT_ONLINE], ids=["plain", "double"])
def test_masked_actions_are_never_chosen(online: Array | None) -> None:
    mask = np.array([[False, True], [True, False], [False, False]])
    targets = losses.td_targets(REWARD, DISCOUNT, NEXT_TARGET, online, mask)
    np.testing.assert_allclose(targets, [1 + 0.9 * 4, 0.5 * -2, -2])


def test_a_negative_discount_values_the_other_players_best_move() -> None:
    np.testing.assert_allclose(losses.td_targets(REWARD, -DISCOUNT, NEXT_TARGET), [1 - 0.9 * 10, -0.5 * 8, -2])


def test_td_errors_are_target_minus_q_of_the_action_taken() -> None:
    q = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(losses.td_errors(q, np.array([1, 0]), np.array([5.0, 1.0])), [3.0, -2.0])


def test_huber_loss_is_quadratic_then_linear() -> None:
    assert losses.huber_loss(ERRORS, None, delta=1.0) == pytest.approx((0.125 + 2.5 + 1.5) / 3)


def test_importance_weights_scale_each_row() -> None:
    weights = np.array([1.0, 0.5, 0.25])
    assert losses.huber_loss(ERRORS, weights, delta=1.0) == pytest.approx((0.125 + 1.25 + 0.375) / 3)
    gradient = losses.huber_gradient(ERRORS, ACTIONS, 2, weights, delta=1.0)
    np.testing.assert_allclose(gradient, np.array([[0, -0.5], [0.5, 0], [0, -0.25]]) / 3)


@pytest.mark.parametrize("delta", [0.3, 1.0, 10.0])
def test_huber_loss_and_gradient_equal_torch(delta: float) -> None:
    rng = np.random.default_rng(0)
    q, targets, actions = rng.normal(size=(20, 3)) * 3, rng.normal(size=20) * 3, rng.integers(0, 3, 20)
    errors = losses.td_errors(q, actions, targets)
    leaf = torch.tensor(q, requires_grad=True)
    chosen = leaf.gather(1, torch.as_tensor(actions)[:, None])[:, 0]
    loss = torch.nn.functional.huber_loss(chosen, torch.as_tensor(targets), delta=delta)
    loss.backward()
    assert losses.huber_loss(errors, None, delta) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(losses.huber_gradient(errors, actions, 3, None, delta), leaf.grad.numpy(), atol=1e-14)


def test_a_pair_met_once_gets_the_whole_tabular_update_whatever_the_batch() -> None:
    gradient = losses.table_gradient(ERRORS, np.array([4, 4, 6]), ACTIONS, 2, None)
    np.testing.assert_allclose(gradient, [[0, -0.5], [3, 0], [0, -2]])


def test_a_pair_met_twice_gets_the_mean_of_its_updates() -> None:
    gradient = losses.table_gradient(ERRORS, np.array([4, 5, 4]), ACTIONS, 2, None)
    np.testing.assert_allclose(gradient[:, 1].sum(), -(0.5 + 2.0) / 2)
    np.testing.assert_allclose(gradient[1], [3, 0])


def test_pairs_of_small_integers_do_not_collide() -> None:
    states = np.array([0, 64], np.uint8)  # 64 · 4 is 0 in uint8
    gradient = losses.table_gradient(np.ones(2), states, np.array([1, 1], np.int32), 4, None)
    np.testing.assert_allclose(gradient[:, 1], [-1.0, -1.0])


def test_float32_stays_float32() -> None:
    errors, weights = ERRORS.astype(np.float32), np.ones(3, np.float32)
    targets = losses.td_targets(*(a.astype(np.float32) for a in (REWARD, DISCOUNT, NEXT_TARGET, NEXT_ONLINE)))
    huber = losses.huber_gradient(errors, ACTIONS, 2, weights, 1.0)
    table = losses.table_gradient(errors, ACTIONS, ACTIONS, 2, weights)
    assert {targets.dtype, huber.dtype, table.dtype} == {np.dtype(np.float32)}
