"""The background work that keeps the run's diary on the volume; it writes in threads, and nothing waits for it."""

import asyncio
import contextlib
import time

from adql.parameters.course import Sight
from adql.parameters.diary import Diary
from adql.parameters.server import ParameterServer
from adql.telemetry.logs import get_logger
from adql.types import OVER
from adql_services.runtime.reminder import Reminder

LOOK_SECONDS = 0.2


class Recorder:
    """Looks at the machine again and again."""

    def __init__(self, machine: ParameterServer, diary: Diary) -> None:
        self._machine, self._diary = machine, diary
        self._trouble = Reminder(time.monotonic)
        self._ending = asyncio.Event()

    def look(self) -> None:
        """Moves the run's clock on."""
        self._diary.look(self._sight())

    async def run(self) -> None:
        """Records until ``end``."""
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._ending.wait()
            self.look()
            await self._write()

    def end(self) -> None:
        """Lets ``run`` return after what is under way."""
        self._ending.set()

    async def finish(self) -> None:
        """Records the end; after ``run`` has returned."""
        self._diary.look_last(self._sight())
        await self._write(last=True)

    async def _write(self, *, last: bool = False) -> None:
        """A full disk must not stop training."""
        try:
            await asyncio.to_thread(self._diary.writing(last=last))
        except OSError as error:
            if self._trouble.is_due():
                get_logger().error("cannot write the run's diary to the volume; training goes on", error=str(error))

    def _sight(self) -> Sight:
        machine = self._machine
        goes_on = machine.status not in OVER and len(machine.sessions) > 0
        return Sight(machine.clocks, machine.sessions.learners, goes_on, machine.staleness_counts)
