"""What happens to an update that is based on an old version: pure functions."""

from adql.config import StalenessSettings
from adql.config.effective import staleness_bound as bound
from adql.errors import StaleUpdateError


def damping(settings: StalenessSettings, staleness: int, learners: int) -> float:
    """Returns the factor on the step: 1/(1 + max(0, s − L))^β under ``damp``, else 1."""
    if settings.policy != "damp":
        return 1.0
    return float((1 + max(0, staleness - learners)) ** -settings.damping_exponent)


def judge(settings: StalenessSettings, staleness: int, learners: int) -> float:
    """Returns the factor on an update's step.

    Raises:
        StaleUpdateError: it is further behind than the bound.
    """
    limit = bound(settings, learners)
    if limit is not None and staleness > limit:
        raise StaleUpdateError(
            f"update is {staleness} versions behind, at most {limit} with {learners} live learners; pull and go on",
            staleness=staleness,
        )
    return damping(settings, staleness, learners)
