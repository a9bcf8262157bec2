"""What a learner sends under each update rule and how it takes the answer; pure functions of flat vectors (P,).

``base`` is the server's vector that the learner merged last: the parameters of the version its push is based on.
``sent`` is what ``outgoing`` returned, as the server reads it: a narrow encoding rounds it on its way. What the
rounding took from local steps stays in θ_i, and goes out with a later push. After an answer that refuses the push (409
stale, 422) every rule does the same and nothing else: ``restart``. The local optimizer's moments stay as they are.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from adql.config import UpdateSettings
from adql.config.effective import elastic_alpha
from adql.types import Array


class Merge(Protocol):
    """One update rule, seen from the learner."""

    def outgoing(self, local: Array, base: Array, learners: int) -> Array:
        """Returns the vector to push, a new one; ``learners`` is how many are live. ``gradient``: ``local`` is ∇."""

    def merge(self, local: Array, base: Array, sent: Array, answer: Array) -> None:
        """Takes ``answer``, the server's vector after the push was applied (200 or duplicate), into ``local`` in place.

        ``local`` may have moved on since the push; those steps are kept.
        """


class Average:
    """Sends θ_i; θ_i += θ_answer − θ_sent."""

    def outgoing(self, local: Array, base: Array, learners: int) -> Array:
        """Returns a copy of θ_i."""
        return local.copy()

    def merge(self, local: Array, base: Array, sent: Array, answer: Array) -> None:
        """Keeps the steps since the push on top of the answer."""
        local += answer - sent


class Delta:
    """Sends θ_i − θ_base; θ_i += θ_answer − θ_sent, where θ_sent = θ_base + what was sent."""

    def outgoing(self, local: Array, base: Array, learners: int) -> Array:
        """Returns what the local steps changed."""
        difference: Array = local - base
        return difference

    def merge(self, local: Array, base: Array, sent: Array, answer: Array) -> None:
        """Keeps the steps since the push on top of the answer."""
        local += answer - (base + sent)


class Gradient:
    """Sends the gradient; θ_i = θ_answer."""

    def outgoing(self, local: Array, base: Array, learners: int) -> Array:
        """Returns a copy of the gradient that is given as ``local``."""
        return local.copy()

    def merge(self, local: Array, base: Array, sent: Array, answer: Array) -> None:
        """Takes the answer as it is."""
        np.copyto(local, answer)


class Elastic:
    """Sends d = α(θ_i − θ_base); θ_i −= d, the same d that the server added (EASGD, 1412.6651)."""

    def __init__(self, alpha: Callable[[int], float]) -> None:
        self._alpha = alpha

    def outgoing(self, local: Array, base: Array, learners: int) -> Array:
        """Returns d."""
        difference: Array = local - base
        difference *= self._alpha(learners)
        return difference

    def merge(self, local: Array, base: Array, sent: Array, answer: Array) -> None:
        """Subtracts d; the answer is only the next base."""
        local -= sent


def make_merge(update: UpdateSettings) -> Merge:
    """Returns the learner's side of ``update.rule``."""
    rules: dict[str, Merge] = {
        "average": Average(),
        "delta": Delta(),
        "gradient": Gradient(),
        "elastic": Elastic(lambda learners: elastic_alpha(update, learners)),
    }
    return rules[update.rule]


def restart(local: Array, pulled: Array) -> None:
    """θ_i ← pulled: what follows a refused push under every rule; the refused steps are given up."""
    np.copyto(local, pulled)
