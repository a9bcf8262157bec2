"""What all who play, judge or count episodes agree on: whose seeds are whose, a line of episodes.csv, a mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FIRST_RESERVED_SEED = 2**30
"""Training seeds lie below, evaluation seeds at or above it."""

EPISODES_HEADER = "unix_seconds,slot,run_environment_steps,return,length,epsilon,success"
"""First line of episodes.csv."""


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """One training episode: a line of episodes.csv, whose columns are these fields in this order."""

    unix_seconds: float
    slot: int
    environment_steps: int
    """Of the whole run."""
    episode_return: float
    length: int
    epsilon: float
    success: bool | None
    """None where neither the environment nor a goal says it."""

    def line(self) -> str:
        """Returns the line, without its end."""
        success = "" if self.success is None else int(self.success)
        return (
            f"{self.unix_seconds:.3f},{self.slot},{self.environment_steps},{self.episode_return:g},{self.length},"
            f"{self.epsilon:.4f},{success}"
        )

    @classmethod
    def parse(cls, line: str) -> "EpisodeRecord | None":
        """Reads what ``line`` returned, None if it is torn."""
        try:
            moment, slot, steps, total, length, epsilon, success = line.split(",")
            succeeded = bool(int(success)) if success else None
            return cls(float(moment), int(slot), int(steps), float(total), int(length), float(epsilon), succeeded)
        except ValueError:
            return None


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: a quarter of the n values, rounded down, is cut at each end (2108.13264)."""
    cut = len(values) // 4
    return float(np.mean(np.sort(values)[cut : len(values) - cut]))
