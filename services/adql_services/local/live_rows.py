"""The rows of the live picture: a line for each learner and each actor."""

from typing import Any

from adql.types import OVER
from adql_services.local.watch import Observation

ENDED = (*OVER, "stopped", "failed")

Row = tuple[str, str, str, str, str]
"""Name, updates, their share, environment steps, and what it does."""


class Rows:
    """Remembers counters, to tell who works from who waits; ``actors`` is whether acting has processes of its own."""

    def __init__(self, actors: bool) -> None:
        self._actors = actors
        self._counters: dict[tuple[bool, int], tuple[int, int]] = {}

    def look(self, observation: Observation, status: str) -> list[Row]:
        """Returns the rows of all slots that ever were: learners first, then actors where there are some."""
        acted = observation.run.get("environment_steps_by_slot", {})
        learners = self._learners(observation, acted, status)
        return [*learners, *self._acting(observation, acted, status)] if self._actors else learners

    def _learners(self, observation: Observation, acted: dict[str, int], status: str) -> list[Row]:
        applied = observation.run.get("updates_by_slot", {})
        total = max(1, sum(applied.values()))
        live = {str(session["slot"]): session for session in observation.sessions if session["role"] != "actor"}
        rows = []
        for slot in sorted({*applied, *live}, key=int):
            updates, session = applied.get(slot, 0), live.get(slot)
            acts = session["role"] == "both" if session else not self._actors
            steps = f"{acted.get(slot, 0):,}" if acts else ""
            state = self._state(session, status)
            rows.append((f"learner {slot}", f"{updates:,}", f"{updates / total:.0%}", steps, state))
        return rows

    def _acting(self, observation: Observation, acted: dict[str, int], status: str) -> list[Row]:
        live = {str(session["slot"]): session for session in observation.sessions if session["role"] == "actor"}
        return [
            (f"actor {slot}", "", "", f"{acted.get(slot, 0):,}", self._state(live.get(slot), status))
            for slot in sorted({*acted, *live}, key=int)
        ]

    def _state(self, session: dict[str, Any] | None, status: str) -> str:
        """Returns working while its counters grow, waiting while they stand."""
        if session is None:
            return "gone"
        if status in ENDED:
            return "idle"
        counters = session["environment_steps"], session["last_sequence"]
        who = session["role"] == "actor", session["slot"]
        grows = self._counters.get(who) != counters
        self._counters[who] = counters
        return "working" if grows else "waiting"
