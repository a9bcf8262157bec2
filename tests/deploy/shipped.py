"""The dashboards and alert rules as they are shipped, and what is in their queries."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "charts" / "adql" / "dashboards"
RULES = ROOT / "charts" / "adql" / "rules" / "alerts.yaml"
VARIABLES = {"$__rate_interval": "30s", "$namespace": ".*", "$release": ".*"}
"""As Grafana fills them in where all is chosen."""


@dataclass(frozen=True)
class Query:
    """One target of a panel."""

    expression: str
    legend: str

    def filled(self, **variables: str) -> str:
        """Returns the expression with every variable filled in."""
        text = self.expression
        for name, value in (VARIABLES | {f"${name}": value for name, value in variables.items()}).items():
            text = text.replace(name, value)
        return text


@dataclass(frozen=True)
class Panel:
    """One panel of a dashboard, less its looks."""

    board: str
    json: dict[str, Any]

    @property
    def title(self) -> str:
        return self.json["title"]

    @property
    def queries(self) -> list[Query]:
        return [Query(target["expr"], target["legendFormat"]) for target in self.json["targets"]]

    def __str__(self) -> str:
        return f"{self.board}: {self.title}"


@functools.cache
def boards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(DASHBOARDS.glob("*.json"))}


def panels() -> list[Panel]:
    """Every panel that is no heading."""
    return [
        Panel(name, panel) for name, board in boards().items() for panel in board["panels"] if panel["type"] != "row"
    ]


def rules() -> list[dict[str, Any]]:
    """Every alert rule."""
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def nodes(expression: str) -> list[Any]:
    """Returns every node of a valid expression."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), lambda node: found.append(node) or True)
    return found


@functools.cache
def metrics_in(expression: str) -> set[str]:
    """Returns the names of the samples that an expression reads."""
    return {node.name for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)}
