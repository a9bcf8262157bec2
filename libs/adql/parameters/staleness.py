"""What happens to an update that is based on an old version: pure functions."""

from adql.config import StalenessSettings
from adql.errors import StaleUpdateError


def bound(settings: StalenessSettings, learners: int) -> int | None:
    """Returns how many versions an update may be behind, or None where any is accepted.

    With L live learners a staleness of L − 1 is normal, one more with overlap: max(8, 4·L) unless set.
    """
    if settings.policy != "reject":
        return None
    return settings.max_versions or max(8, 4 * learners)


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
