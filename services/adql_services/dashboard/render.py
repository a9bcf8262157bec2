"""``adql dashboard render``: finds the run in a Prometheus, asks for every panel, draws."""

import itertools
import re
import statistics
import sys
from pathlib import Path

from adql.errors import InputError, MissingExtraError
from adql_services.dashboard.boards import read_board
from adql_services.dashboard.curves import curves
from adql_services.dashboard.prometheus import Prometheus, Span

BOARDS = ("learning", "asynchrony")
POINTS = 400
"""Of a curve, at most: more cannot be told apart on paper."""
SCRAPES_A_RATE = 4
"""A rate is taken over so many scrapes at least, as Grafana does."""
RUN = "adql_version"
"""Shown by every parameter server from its start to its end."""


def render(directory: Path, url: str, hours: float, namespace: str | None, release: str | None) -> int:
    """Writes a PNG a dashboard into ``directory``, which is made where only it is missing; returns 0.

    Raises:
        InputError: no Prometheus, no run in it, no place for the files.
        MissingExtraError: no matplotlib.
    """
    try:
        from adql_services.dashboard.drawing import save
    except ImportError as error:
        raise MissingExtraError(
            f"drawing needs matplotlib ({error}); install the extra, in ADQL's folder by `pip install '.[render]'`"
        ) from None
    boards = {name: read_board(name) for name in BOARDS}
    prometheus = Prometheus(url)
    chosen = {"namespace": _exactly(namespace), "release": _exactly(release)}
    span, scrape = _find_run(prometheus, hours, chosen)
    _make(directory)
    for name, board in boards.items():
        variables = chosen | {"__rate_interval": _rate_interval(span, scrape)}
        drawn = {panel: curves(panel, prometheus, variables, span) for panel in board.panels}
        file = directory / f"{name}.png"
        try:
            save(board, drawn, span, file)
        except OSError as error:
            raise InputError(f"cannot write {file}: {error.strerror}; name another folder") from None
        sys.stdout.write(f"{file}\n")
    return 0


def _exactly(name: str | None) -> str:
    """As Grafana fills in one choice, or all of them."""
    return ".*" if name is None else re.escape(name).replace("\\", "\\\\")


def _find_run(prometheus: Prometheus, hours: float, chosen: dict[str, str]) -> tuple[Span, float]:
    """Returns the time of the run, and how many seconds its scrapes are apart."""
    if not 0.0 < hours < 24 * 365:
        raise InputError(f"--hours {hours:g} must be above 0 and below {24 * 365}, a year")
    labels = f'namespace=~"{chosen["namespace"]}", app_kubernetes_io_instance=~"{chosen["release"]}"'
    found = prometheus.samples(f"{RUN}{{{labels}}}[{max(1, int(hours * 3600))}s]")
    times = sorted(time for series in found for time in series.times)
    apart = [later - earlier for series in found for earlier, later in itertools.pairwise(series.times)]
    if len(times) < 2 or not apart:
        raise InputError(
            f"no run in the last {hours:g} h of {prometheus.url}: {RUN} has {len(times)} samples; name the Prometheus "
            "that scrapes it, or more --hours"
        )
    scrape = statistics.median(apart)
    start, end = times[0], times[-1]
    return Span(start, end, max((end - start) / POINTS, scrape)), scrape


def _rate_interval(span: Span, scrape: float) -> str:
    return f"{int(1000 * max(span.step + scrape, SCRAPES_A_RATE * scrape))}ms"


def _make(directory: Path) -> None:
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror}; name a folder that can be made") from None
