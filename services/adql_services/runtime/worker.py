"""Runs a synchronous service (learner, evaluator) until it is done or asked to end."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

from adql.config import ServiceSettings
from adql.errors import AdqlError, EnvironmentFailedError, OtherRunError, UnauthorizedError
from adql.telemetry import logs, metrics
from adql.telemetry.logs import get_logger
from adql.telemetry.metrics import PROCESS_PAGE, Page
from adql.wire.connection import Token
from adql_services.runtime.deadline import end_timer
from adql_services.runtime.failure import tell
from adql_services.runtime.side_port import Health, SidePort
from adql_services.runtime.tokens import Tokens

GRACE_SECONDS = 5
"""After a signal: this long to come back from what is under way by itself, then it is interrupted."""


class Stopped(BaseException):
    """The service was asked to end; no Exception, since environments may catch those."""


class Worker:
    """What a synchronous service needs of its process: a heartbeat, a sleep that ends early, and the wish to stop."""

    def __init__(self, health: Health, side: str) -> None:
        self._health, self._side = health, side
        self._waiting = False
        self._timer = end_timer()
        self.stopping = False

    def beat(self) -> None:
        """Says that the service makes progress; waiting for another service counts."""
        self._health.beat()

    def goes_on(self) -> bool:
        """Says that the service makes progress, and whether it may go on: False when it was asked to end."""
        self.beat()
        return not self.stopping

    def go_on(self) -> None:
        """Says that the service makes progress; raises Stopped when it was asked to end."""
        if not self.goes_on():
            raise Stopped

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, a signal raises Stopped at once: nothing is lost by leaving."""
        self._waiting = True
        try:
            if self.stopping:
                raise Stopped
            yield
        finally:
            self._waiting = False

    def ready(self) -> None:
        """Says that the service does its work."""
        self._health.ready = True
        get_logger().info("listening", side=self._side)

    def sleep(self, seconds: float) -> None:
        """Waits; raises Stopped when the service was asked to end meanwhile."""
        deadline = time.monotonic() + seconds
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            self.beat()
            time.sleep(min(left, 0.2))
        if self.stopping:
            raise Stopped

    def ended(self) -> None:
        """Says that nothing hangs any more, and need not be interrupted."""
        signal.alarm(0)
        self._timer.cancel()

    def _ask_to_stop(self, signal_number: int, frame: FrameType | None) -> None:
        if not self.stopping:
            self._timer.start()
        self.stopping = True
        signal.alarm(GRACE_SECONDS)
        if self._waiting:
            self._waiting = False
            raise Stopped

    def _interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        raise Stopped

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT ask to stop; what does not come back in time is interrupted."""
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        signal.signal(signal.SIGINT, self._ask_to_stop)
        signal.signal(signal.SIGALRM, self._interrupt)


def client_token(settings: ServiceSettings) -> Token:
    """Returns what gives a client its tokens at every request, read anew when the file changes."""
    tokens = Tokens.of(settings)
    return tokens.all if tokens else lambda: None


def _refused(error: UnauthorizedError, settings: ServiceSettings) -> UnauthorizedError:
    if settings.auth:
        way_out = f"of {settings.token_file} (ADQL_TOKEN_FILE); write one that it accepts there, and start this again"
    else:
        way_out = "(ADQL_AUTH=false); name a token file, or switch authentication off there as well"
    return UnauthorizedError(f"{error} {way_out}")


def _in_whatever_run(body: Callable[[Worker], None], worker: Worker) -> None:
    """Nothing that was done for one run may reach another one of its name: all is dropped and begun anew."""
    while True:
        try:
            return body(worker)
        except OtherRunError as error:
            metrics.RUN_CHANGES.inc()
            get_logger().warning("another run: what was done for the former one is dropped", reason=str(error))
            worker.go_on()


def run_worker(
    service: str, settings: ServiceSettings, side: str, body: Callable[[Worker], None], page: Page = PROCESS_PAGE
) -> int:
    """Runs ``body`` with a side port beside it that shows ``page``; returns the exit code: 0, or that of the error.

    ``body`` is begun anew when it raises OtherRunError.
    """
    logs.configure(settings.log_format, service)
    health = Health()
    worker = Worker(health, side)
    worker.listen_to_signals()
    try:
        with SidePort(side, health, page):
            _in_whatever_run(body, worker)
    except Stopped:
        return 0
    except UnauthorizedError as error:
        return tell(_refused(error, settings))
    except AdqlError as error:
        if isinstance(error, EnvironmentFailedError):  # who wrote that environment needs to see where
            get_logger().error("the environment failed", exc_info=error.__cause__)
        return tell(error)
    finally:
        worker.ended()
    return 0
