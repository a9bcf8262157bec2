"""The bound on how long a process may take to end: whoever stops it waits that long and then kills it."""

import os
import threading

from adql.errors import RunFailedError
from adql_services.runtime.failure import tell

END_SECONDS = 9.0
"""From being told to end to the exit: an orchestrator that waits 10 s still hears what went wrong."""


def end_timer(seconds: float = END_SECONDS) -> threading.Timer:
    """Returns a timer, to be started when the end begins; unless cancelled it exits with 1, whatever still hangs.

    Threads that block in the kernel cannot be cancelled, and Python would wait for them.
    """
    timer = threading.Timer(seconds, _give_up, [seconds])
    timer.daemon = True
    return timer


def _give_up(seconds: float) -> None:
    hanging = RunFailedError(
        f"told to end {seconds:g} s ago and something still hangs; what was saved last stands, what came after it is "
        "not saved: look after the store, the volume or the environment"
    )
    os._exit(tell(hanging))
