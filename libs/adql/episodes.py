"""What all who play, judge or count episodes agree on: whose seeds are whose, and the mean that cuts the tails."""

from collections.abc import Sequence

import numpy as np

FIRST_RESERVED_SEED = 2**30
"""Training seeds lie below, evaluation seeds at or above it."""


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: a quarter of the n values, rounded down, is cut at each end (2108.13264)."""
    cut = len(values) // 4
    return float(np.mean(np.sort(values)[cut : len(values) - cut]))
