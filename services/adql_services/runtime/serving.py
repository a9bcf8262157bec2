"""Runs one service until it is told to stop, and turns how it ended into an exit code."""

import asyncio
import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
import uvloop
from fastapi import FastAPI

from adql.config import ServerSettings
from adql.errors import AdqlError
from adql.telemetry.logs import get_logger
from adql.telemetry.metrics import PROCESS_PAGE, Page
from adql_services.runtime.deadline import END_SECONDS, end_timer
from adql_services.runtime.failure import tell
from adql_services.runtime.protocol import Receiver
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health, SidePort
from adql_services.runtime.sockets import BACKLOG, listen, release

GRACE_SECONDS = 4
"""How long answers that are under way may take once the service is told to stop."""
KEEP_ALIVE_SECONDS = 75
_BEAT_SECONDS = 1.0

Callback = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """The default callback."""


def serve(
    app: FastAPI,
    settings: ServerSettings,
    *,
    health: Health,
    page: Page = PROCESS_PAGE,
    started: Callback = _nothing,
    stopping: Callback = _nothing,
    end_seconds: float = END_SECONDS,
) -> int:
    """Serves ``app`` until SIGTERM, SIGINT or ``app.state.shutdown.begin()``; returns the process's exit code.

    /metrics, on the side port, shows ``page``.

    Requests are answered, and the service is ready, from the end of ``started`` on; ``stopping`` runs after the last
    answer. Both run in the service's event loop, so background tasks may be created in ``started``. An AdqlError, also
    one given to ``app.state.shutdown``, becomes one line on stderr and its exit code. An end that takes longer than
    ``end_seconds`` is cut off with exit code 1.
    """
    timer = end_timer(end_seconds)
    try:
        with _listening(settings.listen) as listening, SidePort(settings.side, health, page):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(app, settings, listening, health, started, stopping, timer))
    except AdqlError as error:
        return tell(error)
    finally:
        timer.cancel()
    return 0


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    listening = listen(address, "ADQL_LISTEN")
    try:
        yield listening
    finally:
        release(listening, address)


async def _run(
    app: FastAPI,
    settings: ServerSettings,
    listening: socket.socket,
    health: Health,
    started: Callback,
    stopping: Callback,
    timer: threading.Timer,
) -> None:
    shutdown: Shutdown = app.state.shutdown
    _handle_signals(shutdown)
    heartbeat, bounding = asyncio.create_task(_beat(health)), asyncio.create_task(_bound_end(shutdown, timer))
    if await _finished_before(started(), shutdown):
        health.ready = True
        gc.freeze()  # what is here now stays: to look through it for garbage again and again took a tenth of the CPU
        get_logger().info("listening", address=settings.listen, side=settings.side)
        await _serve_until(shutdown, app, listening, health)
        await stopping()
    heartbeat.cancel()
    bounding.cancel()
    if shutdown.failure is not None:
        raise shutdown.failure


def _handle_signals(shutdown: Shutdown) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, shutdown.begin)


async def _beat(health: Health) -> None:
    while True:
        health.beat()
        await asyncio.sleep(_BEAT_SECONDS)


async def _bound_end(shutdown: Shutdown, timer: threading.Timer) -> None:
    await shutdown.begun.wait()
    timer.start()


async def _finished_before(start: Awaitable[None], shutdown: Shutdown) -> bool:
    """Awaits ``start`` unless the service is told to stop first; returns whether it finished."""
    starting, told = asyncio.ensure_future(start), asyncio.ensure_future(shutdown.begun.wait())
    await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False
    starting.result()
    return True


async def _serve_until(shutdown: Shutdown, app: FastAPI, listening: socket.socket, health: Health) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            http=Receiver,  # type: ignore[arg-type]  # uvicorn calls it and asks for no more
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    told = asyncio.create_task(shutdown.begun.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    health.ready = False
    told.cancel()
    server.should_exit = True
    await serving


class _Server(uvicorn.Server):
    """Leaves the signals alone: uvicorn would raise them again after a graceful end, and the exit code would be −15."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures nothing."""
        yield
