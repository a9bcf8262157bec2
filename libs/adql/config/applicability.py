"""Which settings mean something only beside a certain other one."""

from operator import attrgetter
from typing import Any

from adql.config.section import Section

Home = tuple[str, tuple[str, ...], tuple[str, ...]]

HOMES: tuple[Home, ...] = (
    ("update.rule", ("average",), ("update.weight",)),
    ("update.rule", ("elastic",), ("update.elastic_alpha",)),
    ("update.rule", ("delta",), ("update.outer_learning_rate", "update.outer_momentum")),
    ("update.staleness.policy", ("reject",), ("update.staleness.max_versions",)),
    ("update.staleness.policy", ("damp",), ("update.staleness.damping_exponent",)),
    ("network.kind", ("tabular",), ("network.initial_value",)),
    ("network.kind", ("dense",), ("network.hidden",)),
    (
        "network.kind",
        ("dense", "nature", "minatar"),
        ("network.dueling", "algorithm.huber_delta", "algorithm.max_gradient_norm"),
    ),
    ("algorithm.optimizer.kind", ("sgd",), ("algorithm.optimizer.momentum",)),
    ("algorithm.optimizer.kind", ("rmsprop",), ("algorithm.optimizer.decay", "algorithm.optimizer.centered")),
    ("algorithm.optimizer.kind", ("adam",), ("algorithm.optimizer.beta1", "algorithm.optimizer.beta2")),
    ("algorithm.optimizer.kind", ("rmsprop", "adam", "adagrad"), ("algorithm.optimizer.epsilon",)),
    ("algorithm.target.kind", ("periodic",), ("algorithm.target.period_learner_steps",)),
    ("algorithm.target.kind", ("soft",), ("algorithm.target.tau",)),
    ("exploration.kind", ("schedule",), ("exploration.epsilon",)),
    ("exploration.kind", ("ladder",), ("exploration.base", "exploration.exponent", "exploration.actors")),
    ("replay.sampler", ("prioritised",), ("replay.priority_exponent", "replay.importance_exponent")),
)
"""A choice, those of its values under which the keys mean something, and the keys."""


def misplaced(specification: Section) -> list[str]:
    """Returns a complaint for each key that was set and means nothing here; a key at its default never does harm."""
    return [
        f"{key} belongs to {choice}={' or '.join(values)}, not to {chosen}; remove it or change {choice}"
        for choice, values, keys in HOMES
        if (chosen := attrgetter(choice)(specification)) not in values
        for key in keys
        if _is_set(specification, key)
    ]


def _is_set(specification: Section, key: str) -> bool:
    place, _, name = key.rpartition(".")
    section: Any = attrgetter(place)(specification)
    return bool(getattr(section, name) != type(section).model_fields[name].default)
