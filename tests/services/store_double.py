"""A store that a test holds in its hands."""

from adql.parameters.state import Mark
from adql.parameters.store import StoreMemory


class StoreDouble:
    """Holds a mark; a commit first calls ``before``, which may raise."""

    def __init__(self, held: Mark) -> None:
        self.held, self.tries, self.before = held, 0, lambda state: None
        self.address = "unix:///nowhere"

    def commit(self, state, replaces):
        self.tries += 1
        self.before(state)
        self.held = state.mark if self.held == replaces else self.held
        return self.held

    def mark(self):
        return self.held

    def read(self):
        """It keeps no states."""

    def check_durable(self):
        pass

    def memory(self):
        return StoreMemory(1, 2)

    def close(self):
        pass
