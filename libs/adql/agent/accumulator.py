"""n-step accumulation: the one place where a discount is made."""

import numpy as np
import numpy.typing as npt

from adql.types import Array, Float64Array, TransitionBatch


class Accumulator:
    """Turns the steps of C environment copies into n-step transitions.

    A window of m ≤ n steps closes as (s, a, Σ γⁱ·rᵢ, γᵐ·(1 − terminated), s'). Every end of an episode closes all open
    windows; a truncated episode still bootstraps from its last observation. Slot j of a copy holds the window that
    started j steps ago, so one shift a step ages all windows of all copies.
    """

    def __init__(self, copies: int, n_steps: int, gamma: float) -> None:
        self._shape = (n_steps, copies)
        self._gammas: Float64Array = gamma ** np.arange(n_steps + 1, dtype=np.float64)[:, None]
        self._open = np.zeros(self._shape, dtype=np.bool_)
        self._action = np.zeros(self._shape, dtype=np.int32)
        self._reward = np.zeros(self._shape, dtype=np.float64)
        self._observation: Array | None = None

    def add(
        self,
        observation: Array,
        action: Array,
        reward: Array,
        terminated: Array,
        truncated: Array,
        next_observation: Array,
        valid: Array,
    ) -> TransitionBatch:
        """Takes one step of all copies (C rows each) and returns the transitions that it closed, 0 to n·C of them.

        Rows that are not ``valid`` (Gymnasium's reset rows) start and change nothing.
        """
        held = self._start_windows(observation, action, valid)
        self._reward += np.where(self._open, self._gammas[:-1] * reward, 0.0)
        closed = self._open & (terminated | truncated)
        closed[-1] |= self._open[-1]
        batch = self._close(held, closed, terminated, next_observation)
        self._open[closed] = False
        return batch

    def _start_windows(self, observation: Array, action: Array, valid: Array) -> Array:
        if self._observation is None:
            self._observation = np.zeros((*self._shape, *observation.shape[1:]), dtype=observation.dtype)
        for slots in (self._open, self._action, self._reward, self._observation):
            slots[1:] = slots[:-1].copy()
        self._observation[0], self._action[0], self._reward[0], self._open[0] = observation, action, 0.0, valid
        return self._observation

    def _close(
        self, held: Array, closed: npt.NDArray[np.bool_], terminated: Array, next_observation: Array
    ) -> TransitionBatch:
        _, copies = np.nonzero(closed)
        discount = (self._gammas[1:] * ~terminated)[closed]
        return TransitionBatch(
            observation=held[closed],
            action=self._action[closed],
            reward=self._reward[closed].astype(np.float32),
            discount=discount.astype(np.float32),
            next_observation=next_observation[copies],
        )
