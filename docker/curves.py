"""Says in one line where the curves are, of what really answers, and stays until it is told to end.

It stays since ``docker compose up --wait`` takes a container that ended for one that failed.
"""

import os
import signal
import sys
import urllib.request
from pathlib import Path

PLACES = {
    "Grafana": ("http://grafana:3000/api/health", "GRAFANA"),
    "Prometheus": ("http://prometheus:9090/-/ready", "PROMETHEUS"),
}
"""Where each is asked, and the variable that holds the address for people."""
SECONDS = 5.0
TOLD = Path("/tmp/told")


def answers(address: str) -> bool:
    """Returns whether somebody says yes there."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS):
            return True
    except OSError:
        return False


def line() -> str:
    """Returns the line."""
    there = {name: variable for name, (inside, variable) in PLACES.items() if answers(inside)}
    shown = [f"{name} {os.environ[variable].replace('//0.0.0.0:', '//127.0.0.1:')}" for name, variable in there.items()]
    missing = [name for name in PLACES if name not in there]
    told = f"the curves: {', '.join(shown)}" if shown else "there are no curves"
    return f"{told} ({' and '.join(missing)} not running)" if missing else told


def main() -> None:
    """Says it, and waits for a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.stdout.write(f"{line()}\n")
    sys.stdout.flush()
    TOLD.touch()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
