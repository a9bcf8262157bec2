"""Q-learning's targets, errors and losses: pure functions of arrays.

n rows, A actions. Everything keeps the dtype of the action values.
"""

import numpy as np

from adql.types import Array


def td_targets(
    reward: Array,
    discount: Array,
    next_q_target: Array,
    next_q_online: Array | None = None,
    next_mask: Array | None = None,
) -> Array:
    """Returns r + discount · Q'(s', a*), shape (n,).

    a* maximises ``next_q_online`` (n, A) where that is given (double Q-learning, 1509.06461), else ``next_q_target``
    (n, A) itself; with ``next_mask`` (n, A) only among the actions that are true. ``discount`` is
    γᵐ·(1 − terminated), so that a row without any legal next action has to be terminated.
    """
    choice = next_q_target if next_q_online is None else next_q_online
    if next_mask is not None:
        choice = np.where(next_mask, choice, -np.inf)
    best = choice.argmax(axis=1)
    targets: Array = discount * next_q_target[np.arange(len(best)), best]
    targets += reward
    return targets


def td_errors(q: Array, actions: Array, targets: Array) -> Array:
    """Returns target − Q(s, a), shape (n,), for ``q`` (n, A) and ``actions`` (n,)."""
    errors: Array = targets - q[np.arange(len(actions)), actions]
    return errors


def huber_loss(errors: Array, weights: Array | None, delta: float) -> float:
    """Returns the mean of w · H(δ): H is ½δ² up to ``delta`` and delta·(|δ| − ½·delta) beyond (torch's HuberLoss)."""
    clipped = np.clip(errors, -delta, delta)
    return float(np.mean(_weighted(clipped * (errors - 0.5 * clipped), weights)))


def huber_gradient(errors: Array, actions: Array, actions_number: int, weights: Array | None, delta: float) -> Array:
    """Returns ∂huber_loss/∂Q, shape (n, A): −w · clip(δ) / n at each row's action, 0 elsewhere."""
    rows = _weighted(np.clip(errors, -delta, delta), weights)
    return _at_actions(rows / -len(errors), actions, actions_number)


def table_loss(errors: Array, weights: Array | None) -> float:
    """Returns the mean of ½ · w · δ²."""
    return float(np.mean(_weighted(0.5 * np.square(errors), weights)))


def table_gradient(errors: Array, states: Array, actions: Array, actions_number: int, weights: Array | None) -> Array:
    """Returns the gradient (n, A) under which one SGD step of rate α is the tabular law on every row.

    Each row counts −w·δ / c at its action, c the number of rows with the same (s, a): a pair met once gets exactly
    Q ← Q + α·w·δ, a pair met more often the mean of its rows' updates, which no batch size can make diverge.
    """
    pairs = states.astype(np.int64) * actions_number + actions
    _, pair, count = np.unique(pairs, return_inverse=True, return_counts=True)
    rows = _weighted(errors, weights) / count[pair].astype(errors.dtype)
    return _at_actions(-rows, actions, actions_number)


def _weighted(rows: Array, weights: Array | None) -> Array:
    return rows if weights is None else rows * weights


def _at_actions(rows: Array, actions: Array, actions_number: int) -> Array:
    gradient = np.zeros((len(rows), actions_number), rows.dtype)
    gradient[np.arange(len(rows)), actions] = rows
    return gradient
