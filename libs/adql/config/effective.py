"""What a setting that is null means: the rules by which such values are found, and the values in words."""

from adql.config.specification import RunSpecification, StalenessSettings, UpdateSettings

MAX_ELASTIC_ALPHA = 0.45
ELASTIC_ALPHA_TOTAL = 0.9
"""α summed over the live learners: the server's vector moves by at most this share of the learners' distance."""


def average_weight(update: UpdateSettings, learners: int) -> float:
    """Returns w of ``average``; unless set, 1 for a lone learner and ½ for each of many.

    At 1/L the learners' mean keeps still: with 8 of them CartPole was not learned (docs/RESULTS.md, "Update rules").
    """
    return update.weight or 1.0 / min(learners, 2)


def elastic_alpha(update: UpdateSettings, learners: int) -> float:
    """Returns the set α, else 0.9/live learners and at most 0.45."""
    if update.elastic_alpha is not None:
        return update.elastic_alpha
    return min(MAX_ELASTIC_ALPHA, ELASTIC_ALPHA_TOTAL / max(1, learners))


def outer_learning_rate(update: UpdateSettings, learners: int) -> float:
    """Returns η of ``delta``; 1/live learners unless set."""
    return update.outer_learning_rate or 1.0 / learners


def staleness_bound(settings: StalenessSettings, learners: int) -> int | None:
    """Returns how many versions an update may be behind, or None where any is accepted.

    With L live learners a staleness of L − 1 is normal, one more with overlap: max(8, 4·L) unless set.
    """
    return usual_staleness_bound(settings, learners) if settings.policy == "reject" else None


def usual_staleness_bound(settings: StalenessSettings, learners: int) -> int:
    """Returns how many versions behind is too much, whether or not the policy refuses what is."""
    return settings.max_versions or max(8, 4 * learners)


def overlaps(specification: RunSpecification) -> bool:
    """Returns whether learning goes on while a push is under way; unless set, not with a table of values.

    A table's steps at a large α go all the way to their targets; on top of an answer that has gone there already they
    overshoot: at α = ½ FrozenLake was learned by 0 of 4 runs with overlap and by 4 of 4 without (docs/RESULTS.md).
    """
    update = specification.update
    if update.rule == "gradient":
        return False
    return specification.network.kind != "tabular" if update.overlap is None else update.overlap


def effective(specification: RunSpecification) -> dict[str, str]:
    """Returns in words what each null of ``specification`` stands for while all its learners live, by its key."""
    goal, actors = specification.goal, specification.exploration.kind == "ladder"
    return {
        **_of_the_rule(specification.update, specification.training.learners),
        "exploration.actors": "any number" if actors else "unused under schedule",
        "update.overlap": str(overlaps(specification)).lower(),
        "update.outlier_deviations": "none is dropped",
        "replay.capacity": f"{specification.replay_capacity} {_with(specification.training.learners)}",
        "training.goal": "none but the budget" if goal is None else f"{goal:g}, the environment's reward_threshold",
        "environment.max_episode_steps": "the environment's own limit, 1000 where it has none",
    }


def _of_the_rule(update: UpdateSettings, learners: int) -> dict[str, str]:
    values = {
        "average": ("update.weight", average_weight(update, learners)),
        "elastic": ("update.elastic_alpha", elastic_alpha(update, learners)),
        "delta": ("update.outer_learning_rate", outer_learning_rate(update, learners)),
    }
    bound, policy = staleness_bound(update.staleness, learners), update.staleness.policy
    return {
        key: f"{value:.4g} {_with(learners)}" if rule == update.rule else f"unused under {update.rule}"
        for rule, (key, value) in values.items()
    } | {
        "update.sync_every": f"{update.steps_per_push} under {update.rule}",
        "update.staleness.max_versions": f"{bound} {_with(learners)}" if bound else f"unused under {policy}",
    }


def _with(learners: int) -> str:
    return f"with {learners} learner{'s' if learners > 1 else ''}"
