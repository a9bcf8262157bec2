"""A child that does not outlive the process that started it; run as a file, it is the start of any such command."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def _exit_with(parent_pid: int) -> None:
    """Asks Linux to send SIGTERM when the parent ends; does nothing on other systems.

    ``parent_pid`` is who the parent was meant to be: one that ended before this call is noticed at once. What this
    process becomes by ``exec`` keeps it.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


def tethered(command: Sequence[str]) -> list[str]:
    """Returns ``command`` so that it gets SIGTERM when this process ends, also by kill -9, from its first moment on.

    On Linux it ends with the thread that starts it, too; elsewhere it is on its own. ``command[0]`` is a path. Fork
    hooks would do as well, but are unsafe beside threads.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    _exit_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
