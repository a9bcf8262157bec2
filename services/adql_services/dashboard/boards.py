"""The shipped dashboards as they are drawn: panels, queries, and where each stands."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adql.errors import InputError

INSTALLED = Path(__file__).parent / "shipped"
"""Where an installed package has them."""
CHECKOUT = Path(__file__).parents[3] / "charts" / "adql" / "dashboards"
"""Where they lie in the repository, for the chart, for compose and for an editable installation."""


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression with Grafana's variables, and the name of its series."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn in one place of a grid that is 24 columns wide."""

    kind: str
    """timeseries, stat, heatmap, or row: a heading."""
    title: str
    unit: str
    queries: tuple[Query, ...]
    left: int
    top: int
    width: int
    height: int
    lowest: float | None


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    title: str
    panels: tuple[Panel, ...]


def read_board(name: str) -> Board:
    """Returns the dashboard ``name``.

    Raises:
        InputError: this installation has none.
    """
    for folder in (INSTALLED, CHECKOUT):
        if (file := folder / f"{name}.json").is_file():
            tree = json.loads(file.read_text(encoding="utf-8"))
            return Board(tree["title"], tuple(_panel(panel) for panel in tree["panels"]))
    raise InputError(
        f"this installation has no dashboards: {name}.json is neither in {INSTALLED} nor in {CHECKOUT}; install ADQL "
        "from its whole repository"
    )


def _panel(tree: dict[str, Any]) -> Panel:
    place, defaults = tree["gridPos"], tree.get("fieldConfig", {}).get("defaults", {})
    return Panel(
        tree["type"],
        tree["title"],
        defaults.get("unit", "none"),
        tuple(Query(target["expr"], target["legendFormat"]) for target in tree.get("targets", ())),
        *(place["x"], place["y"], place["w"], place["h"]),
        defaults.get("min"),
    )
