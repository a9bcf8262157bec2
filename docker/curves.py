"""Says in one line where the curves are, of what really answers, and in another one when the run is over.

It stays until it is told to end, since ``docker compose up --wait`` takes a container that ended for one that failed.
"""

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

PLACES = {
    "Grafana": ("http://grafana:3000/api/health", "GRAFANA"),
    "Prometheus": ("http://prometheus:9090/-/ready", "PROMETHEUS"),
}
"""Where each is asked, and the variable that holds the address for people."""
SECONDS = 5.0
TOLD = Path("/tmp/told")
SERVER = "http://parameter-server:8421/metrics"
OVER = {
    "reached": "the run reached its goal",
    "budget": "the run has spent its budget",
    "plateau": "the run is on its plateau",
}
"""By status; the parameter server's log calls it by the same words."""
RESULTS = "mkdir -p runs/compose && docker compose run --rm -T results | tar -x -C runs/compose"


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


def looks(address: str) -> Iterator[dict[str, float]]:
    """Yields the parameter server's figures again and again, whenever it answers."""
    while True:
        time.sleep(SECONDS)
        try:
            with urllib.request.urlopen(address, timeout=SECONDS) as answer:
                page = answer.read().decode()
        except (OSError, HTTPException):
            continue
        yield figures_of(page)


def figures_of(page: str) -> dict[str, float]:
    """Returns what a page for Prometheus says, by name with labels."""
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def end(figures: dict[str, float]) -> str | None:
    """Returns what came of a run that is over; None while it goes on, or waits for an evaluation."""
    over = [words for status, words in OVER.items() if figures.get(f'adql_run_status{{status="{status}"}}')]
    if not over or figures["adql_evaluations_waiting"]:
        return None
    mean, steps = figures.get("adql_evaluation_return"), figures["adql_run_learner_steps"]
    worth = "no evaluation" if mean is None else f"mean return {mean:.1f}"
    return f"{over[0]}: {worth} at {steps:,.0f} learner steps; its folder with the report: {RESULTS}; Ctrl-C ends"


def ends(looks: Iterator[dict[str, float]]) -> Iterator[str]:
    """Yields a line at each end of a run, when a second look finds the same: the last evaluation may be on its way."""
    before, said = None, False
    for figures in looks:
        now = end(figures)
        if now is not None and now == before and not said:
            yield now
        said = now is not None and (said or now == before)
        before = now


def say(text: str) -> None:
    """Says it at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Says it, until a signal comes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    say(line())
    TOLD.touch()
    for text in ends(looks(SERVER)):
        say(text)


if __name__ == "__main__":
    main()
