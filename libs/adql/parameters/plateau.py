"""When a run that has no goal, or does not reach it, has stopped improving; off unless asked for."""

import msgspec

MIN_IMPROVEMENT = 0.01
"""Share of the level by which an evaluation has to be better."""


class Plateau(msgspec.Struct, frozen=True):
    """For how long greedy returns have not improved."""

    level: float | None = None
    """Interquartile mean of the evaluation that improved last; None before the first."""
    evaluations: int = 0
    """Periodic ones in a row that did not improve on it."""

    def is_reached(self, limit: int | None) -> bool:
        """Whether ``limit`` evaluations, None for any number, went by without improvement."""
        return limit is not None and self.evaluations >= limit

    def after(self, interquartile_mean: float, limit: int | None) -> "Plateau":
        """Returns what is known after one more evaluation; once reached it stays so, until ``limit`` is raised."""
        if self.is_reached(limit):
            return self
        if self.level is None or interquartile_mean > self.level + MIN_IMPROVEMENT * abs(self.level):
            return Plateau(interquartile_mean)
        return Plateau(self.level, self.evaluations + 1)
