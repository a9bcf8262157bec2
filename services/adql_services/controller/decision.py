"""How many learners there are to be: pure functions of frozen records.

A number is tried and kept if it pays: one more learner has to bring at least a quarter of what each of the others
brings. What did not pay, or made updates too stale, is not tried again for a long while, so that the number does not
swing. Nothing is decided on what is not known: without fresh readings every learner stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from adql_services.controller.observation import Window

MIN_GAIN = 0.25
"""Of what as many learners more would bring if updates/s grew in proportion."""
MAX_REFUSED = 0.05
"""Share of the updates that may be refused as stale."""
MARGIN = 0.75
"""Of the bound of staleness, and half of MAX_REFUSED: above it there are no more learners, above the whole fewer."""
WAITING = 0.9
"""Of the rate limiter's bound: beyond it one side waits for the other."""

Change = Literal["growth", "resumed", "bounds", "staleness", "refusals", "no_gain", "no_room", "over"]
"""Why the number changes; where the run is over it may also stay."""
Stay = Literal["unknown", "settling", "maximum", "minimum", "ceiling", "margin", "starved", "idle", "paused"]
Reason = Change | Stay
REASONS: tuple[str, ...] = get_args(Change) + get_args(Stay)
Role = Literal["both", "learner", "actor"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the controller may do, and how fast."""

    minimum: int = 1
    maximum: int = 8
    cool_down_seconds: float = 60.0
    """From one change of the number, whoever made it, to the next."""
    start_seconds: float = 300.0
    """Learners that have not come by then have no room."""
    retry_seconds: float = 1800.0
    """A number that did not pay is tried again after this long."""
    to_zero_when_over: bool = False
    role: Role = "both"


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known in one round."""

    now: float
    """Monotonic seconds."""
    replicas: int
    """Learners that the Deployment is asked for."""
    status: str | None = None
    """Of the run; None where no fresh reading could be had."""
    run_id: str = ""
    over: bool = False
    learners: int = 0
    """That live."""
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A number of learners that is being tried."""

    former: int
    updates_per_second: float
    """With the former number."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """More learners than this did not pay; forgotten after ``until``."""

    replicas: int
    until: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier rounds left."""

    replicas: int
    since: float
    """When the number became that."""
    by_hand: bool = False
    """Somebody else made it that."""
    over: bool = False
    """So was the run, in the last round that knew."""
    rested: int | None = None
    """The number before it became 0 at the end of the run."""
    run_id: str = ""
    """Of the run that these are of."""
    trial: Trial | None = None
    ceiling: Ceiling | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How many learners, and why."""

    replicas: int
    reason: Reason
    words: str


_Rule = Callable[[Memory, Sight, Limits], Decision | None]


def decide(memory: Memory | None, sight: Sight, limits: Limits) -> tuple[Decision, Memory]:
    """Returns what to do, and what to remember once it is done; if it could not be done, ``memory`` stays."""
    noticed = _noticed(memory, sight)
    decision = next(said for rule in _RULES if (said := rule(noticed, sight, limits)))
    return decision, _remembered(noticed, sight, decision, limits)


def _noticed(memory: Memory | None, sight: Sight) -> Memory:
    """A number that somebody else has set is where all begins anew; of another run nothing was tried yet."""
    if memory is None:
        return Memory(sight.replicas, sight.now, run_id=sight.run_id)
    if memory.replicas != sight.replicas:
        return Memory(sight.replicas, sight.now, by_hand=True, over=memory.over, run_id=sight.run_id)
    if sight.status is not None and memory.run_id != sight.run_id:
        trial = memory.trial and replace(memory.trial, updates_per_second=0.0)  # learners without room have none still
        return replace(memory, run_id=sight.run_id, trial=trial, ceiling=None)
    return memory


def _remembered(memory: Memory, sight: Sight, decision: Decision, limits: Limits) -> Memory:
    if sight.status is None:
        return memory
    memory = replace(memory, over=sight.over, rested=_rested(memory, sight, decision, limits))
    if decision.replicas == sight.replicas:
        judged = decision.reason != "idle" and _may_judge(memory, sight, limits)
        return replace(memory, trial=None) if judged else memory
    memory = replace(memory, replicas=decision.replicas, since=sight.now, by_hand=False, trial=None)
    if decision.reason == "growth":
        assert sight.window is not None
        return replace(memory, trial=Trial(sight.replicas, sight.window.updates_per_second))
    if decision.reason in ("staleness", "refusals", "no_gain", "no_room"):
        return replace(memory, ceiling=Ceiling(decision.replicas, sight.now + limits.retry_seconds))
    return memory


def _rested(memory: Memory, sight: Sight, decision: Decision, limits: Limits) -> int | None:
    """None for a 0 that is not the controller's own: that is a pause, whether the run is over or not."""
    if not sight.over or decision.replicas or not limits.to_zero_when_over:
        return None
    if memory.by_hand and not sight.replicas:
        return None
    return sight.replicas or memory.rested or limits.minimum


def _of_readings(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    if sight.status is None:
        return _keep(sight, "unknown", "the run cannot be asked, and nothing is changed unseen")
    return None


def _of_the_end(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    if not sight.over:
        return None
    scaled_since = memory.by_hand and memory.over
    if not limits.to_zero_when_over or scaled_since:
        return _keep(sight, "over", f"the run is over ({sight.status})")
    return Decision(0, "over", f"the run is over ({sight.status})")


def _of_rest(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    """0 is a rest: the controller ends its own, and that before a run has begun, but no other one."""
    if sight.replicas:
        return None
    if memory.rested is None and (memory.by_hand or sight.status != "waiting"):
        return _keep(sight, "paused", "0 was set by hand; scale to any other number to go on")
    wanted = _clamped(memory.rested or limits.minimum, limits)
    return Decision(wanted, "resumed", f"there is something to learn ({sight.status})")


def _of_bounds(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    wanted = _clamped(sight.replicas, limits)
    if wanted == sight.replicas:
        return None
    return Decision(wanted, "bounds", f"{sight.replicas} is not within {limits.minimum} to {limits.maximum}")


def _of_patience(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    waited = sight.now - memory.since
    if memory.trial and sight.learners < sight.replicas and waited >= limits.start_seconds:
        words = f"{sight.learners} of {sight.replicas} learners came in {waited:.0f} s"
        return Decision(memory.trial.former, "no_room", words)
    if not _may_judge(memory, sight, limits):
        return _keep(sight, "settling", f"{sight.learners} of {sight.replicas} learners live; what they do is measured")
    return None


def _of_staleness(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    window = _window(sight)
    if limits.role == "actor":  # they push nothing
        return None
    if window.refused > MAX_REFUSED:
        return _fewer(sight, limits, "refusals", f"{window.refused:.0%} of the updates are refused as stale")
    if window.staleness > window.bound:
        words = f"1 of 100 updates is {window.staleness} versions behind or more, over the bound of {window.bound}"
        return _fewer(sight, limits, "staleness", words)
    return None


def _of_idleness(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    """A store that is away stops all learners alike, which says nothing of their number."""
    return None if _window(sight).updates_per_second else _keep(sight, "idle", "no update was applied")


def _of_the_trial(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    if memory.trial is None:
        return None
    former, before, now = memory.trial.former, memory.trial.updates_per_second, _window(sight).updates_per_second
    if now >= before * (1.0 + MIN_GAIN * (sight.replicas / former - 1.0)):
        return None
    return Decision(former, "no_gain", f"{sight.replicas} learners bring {now:.1f} updates/s, {former} {before:.1f}")


def _of_hindrances(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    """Why there are no more learners than there are."""
    window, ceiling = _window(sight), memory.ceiling
    if sight.replicas >= limits.maximum:
        return _keep(sight, "maximum", f"{limits.maximum} learners are the most that are allowed")
    if limits.role == "learner" and window.hunger > WAITING:
        return _keep(sight, "starved", "samples wait for inserts; actors are missing, not learners")
    if limits.role == "actor" and window.hunger < -WAITING:
        return _keep(sight, "starved", "inserts wait for samples; learners are missing, not actors")
    if limits.role != "actor" and not _has_margin(window):
        return _keep(sight, "margin", f"updates are {window.staleness} versions behind, near the bound {window.bound}")
    if ceiling and sight.now < ceiling.until and sight.replicas >= ceiling.replicas:
        return _keep(sight, "ceiling", f"more than {ceiling.replicas} learners did not pay")
    return None


def _of_growth(memory: Memory, sight: Sight, limits: Limits) -> Decision | None:
    wanted = _clamped(sight.replicas + max(1, sight.replicas // 2), limits)
    if memory.ceiling and sight.now < memory.ceiling.until:
        wanted = min(wanted, memory.ceiling.replicas)
    window = _window(sight)
    words = f"{window.updates_per_second:.1f} updates/s, at most {window.staleness} of {window.bound} versions behind"
    return Decision(wanted, "growth", f"{words}: more may bring more")


_RULES: tuple[_Rule, ...] = (
    *(_of_readings, _of_the_end, _of_rest, _of_bounds, _of_patience),
    *(_of_staleness, _of_idleness, _of_the_trial, _of_hindrances, _of_growth),
)
"""The first one that has something to say decides."""


def _fewer(sight: Sight, limits: Limits, reason: Reason, words: str) -> Decision:
    wanted = _clamped(sight.replicas - max(1, sight.replicas // 4), limits)
    if wanted == sight.replicas:
        return _keep(sight, "minimum", f"{words}, and there are no fewer than {limits.minimum} learners")
    return Decision(wanted, reason, words)


def _keep(sight: Sight, reason: Reason, words: str) -> Decision:
    return Decision(sight.replicas, reason, words)


def _clamped(replicas: int, limits: Limits) -> int:
    return min(max(replicas, limits.minimum), limits.maximum)


def _may_judge(memory: Memory, sight: Sight, limits: Limits) -> bool:
    return sight.window is not None and sight.now - memory.since >= limits.cool_down_seconds


def _window(sight: Sight) -> Window:
    assert sight.window is not None, "patience waits for one"
    return sight.window


def _has_margin(window: Window) -> bool:
    return window.staleness <= MARGIN * window.bound and window.refused <= MAX_REFUSED / 2
