"""Delivers one session's updates once each: sequences, what is held, and sending again after a server's restart."""

from collections.abc import Callable
from dataclasses import dataclass

from adql.errors import InvalidUpdateError, SequenceGapError, StaleUpdateError, SupersededSequenceError
from adql.types import Parameters, RunState, Version
from adql.wire.unacknowledged import HeldUpdate, Unacknowledged


@dataclass(frozen=True, slots=True)
class Answer:
    """How one update ended; without parameters they have to be pulled."""

    outcome: str
    """applied, duplicate, stale or invalid."""
    applied: Version | None = None
    staleness: int | None = None
    parameters: Parameters | None = None


class Delivery:
    """Numbers updates 0, 1, 2 … and keeps the server's and its own numbering in step.

    ``exchange`` sends one update until it is answered; ``ask`` returns the session's last and last durable sequence.
    """

    def __init__(
        self, exchange: Callable[[HeldUpdate], Answer], ask: Callable[[], tuple[int, int]], window_bytes: int
    ) -> None:
        self._exchange, self._ask = exchange, ask
        self._held = Unacknowledged(window_bytes)
        self._dropped = 0
        self.next_sequence = 0
        self.resent = 0
        """Updates sent again after a new epoch."""
        self.lost = 0
        """Updates that a crash took and that were refused when they were sent again."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def at_risk(self) -> int:
        """Updates given up unacknowledged."""
        return self._dropped + self._held.forgotten

    def start_session(self) -> None:
        """Drops what an earlier session held: it is never sent under another one."""
        self._dropped += self._held.clear()
        self.next_sequence = 0

    def give_up(self) -> None:
        """Counts an update that was never held as lost."""
        self._dropped += 1

    def acknowledge(self, state: RunState) -> None:
        """Drops what is durable by now; asks and sends again where the server's epoch is another one."""
        self._held.acknowledge(state)
        if self._held.is_older_than(state.version.epoch):
            self._recover()

    def deliver(self, update: HeldUpdate) -> Answer:
        """Sends ``update`` as the session's next sequence until that is used up.

        Raises:
            UnknownSessionError: the session is gone.
        """
        while True:
            update.sequence = self.next_sequence
            try:
                return self._used_up(update, self._exchange(update))
            except StaleUpdateError:
                return self._used_up(update, Answer("stale"))
            except InvalidUpdateError:
                return self._used_up(update, Answer("invalid"))
            except SequenceGapError:
                self._recover()
            except SupersededSequenceError:
                # Used up by this very session, with an answer that is no longer kept: never to be sent again.
                self._recover()
                return Answer("stale")

    def _used_up(self, update: HeldUpdate, answer: Answer) -> Answer:
        self.next_sequence = update.sequence + 1
        update.applied = answer.applied
        if answer.applied is not None:
            self._held.add(update)
        return answer

    def _recover(self) -> None:
        """Drops what the restarted server still has, and sends the later updates again, numbered on from there."""
        last, durable = self._ask()
        self._held.drop_up_to(durable)
        self.next_sequence = last + 1
        lost = self._held.take_after(last)
        try:
            while lost:
                self.resent += 1
                answer = self.deliver(lost[0])  # may recover again, and count on its own
                self.lost += answer.applied is None
                del lost[0]
        finally:
            for update in lost:
                self._held.add(update)
