"""A child that does not outlive the process that started it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def exit_with_parent(parent_pid: int | None = None) -> None:
    """Asks Linux to send SIGTERM when the parent ends; does nothing on other systems.

    ``parent_pid`` is who the parent was meant to be: one that ended before this call is noticed at once.
    """
    if sys.platform != "linux":
        return
    expected = os.getppid() if parent_pid is None else parent_pid
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != expected:
        os.kill(os.getpid(), signal.SIGTERM)
