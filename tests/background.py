"""A thread beside a test that ends when it is told to, and whose failure is the test's."""

import threading


class Stopped(Exception):
    """The thread was told to end while it waited."""


class Background(threading.Thread):
    """Does ``work`` until ``stopping`` is set; a client in it that is given ``sleep`` waits no longer than that."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.failure: Exception | None = None

    def work(self) -> None:
        """What is done in the thread."""
        raise NotImplementedError

    def run(self) -> None:
        try:
            self.work()
        except Stopped:
            pass
        except Exception as failure:
            self.failure = failure

    def sleep(self, seconds: float) -> None:
        """Waits; raises Stopped as soon as the thread is told to end."""
        if self.stopping.wait(seconds):
            raise Stopped

    def check(self) -> None:
        """Raises what ended the thread before it was told to."""
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Ends the thread, in an outage too; raises what went wrong in it."""
        self.stopping.set()
        self.join(30)
        assert not self.is_alive(), f"{self.name} does not end"
        self.check()
