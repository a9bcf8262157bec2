"""From the answers of Prometheus to the named curves of a panel."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adql_services.dashboard.boards import Panel, Query
from adql_services.dashboard.prometheus import Prometheus, Series, Span

_LABEL = re.compile(r"{{\s*(\w+)\s*}}")


@dataclass(frozen=True, slots=True)
class Curve:
    """A series and its name in the legend; Unix seconds."""

    name: str
    times: Sequence[float]
    values: Sequence[float]


def curves(panel: Panel, prometheus: Prometheus, variables: Mapping[str, str], span: Span) -> list[Curve]:
    """Returns the curves of ``panel`` in the order of its queries, each of them by name; empty ones are left out."""
    found = [(query, series) for query in panel.queries for series in _asked(query, prometheus, variables, span)]
    pods = {series.labels.get("pod") for _, series in found}
    named = [Curve(_name(query, series, alone=len(pods) == 1), series.times, series.values) for query, series in found]
    return [curve for curve in named if curve.times]


def _asked(query: Query, prometheus: Prometheus, variables: Mapping[str, str], span: Span) -> list[Series]:
    expression = query.expression
    for name, value in variables.items():
        expression = expression.replace(f"${name}", value)
    return sorted(prometheus.over(expression, span), key=lambda series: sorted(series.labels.items()))


def _name(query: Query, series: Series, *, alone: bool) -> str:
    """Where all series are of one pod, its name says nothing."""
    legend = query.legend.removesuffix(" {{pod}}") if alone else query.legend
    return _LABEL.sub(lambda label: series.labels.get(label[1], ""), legend).strip()
