"""Waking everybody who waits for something to change."""

import asyncio
from collections.abc import Callable


class Beacon:
    """Many waiters, each with a condition of its own; for one event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._closed = False

    def flash(self) -> None:
        """Lets all waiters look again."""
        self._event.set()
        self._event = asyncio.Event()

    def close(self) -> None:
        """Ends all waits, now and from now on."""
        self._closed = True
        self.flash()

    async def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until ``condition`` holds, ``seconds`` are over or the beacon is closed; returns the condition."""
        if seconds <= 0.0:
            return condition()
        try:
            async with asyncio.timeout(seconds):
                while not (condition() or self._closed):
                    await self._event.wait()
        except TimeoutError:
            pass
        return condition()
