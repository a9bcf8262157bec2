"""The table of parameters in the chart's README."""

import json
from itertools import groupby
from typing import Any

from tools.chart.comments import ChartError, Parameter, Values, at

BEGIN = "<!-- parameters: written by `make generate` from values.yaml -->"
END = "<!-- end of parameters -->"


def table(found: list[Parameter], values: Values) -> str:
    """Returns one table a section: key, what it is for, default."""
    parts = []
    for section, rows in groupby(found, key=lambda one: one.section):
        lines = [f"| `{one.path}` | {_cell(one.description)} | `{_default(at(values, one.path))}` |" for one in rows]
        parts.append("\n".join((f"### {section}", "", "| key | what it is for | default |", "|---|---|---|", *lines)))
    return "\n\n".join(parts)


def with_table(document: str, written: str) -> str:
    """Returns ``document`` with ``written`` between its two marks.

    Raises:
        ChartError: the document lacks a mark, or has it twice.
    """
    if document.count(BEGIN) != 1 or document.count(END) != 1:
        raise ChartError(f"the README needs each of these lines once: {BEGIN} and {END}")
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{written}\n\n{END}{rest.partition(END)[2]}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(value: Any) -> str:
    """Returns ``value`` in one line of JSON, which YAML reads as well."""
    return _cell(json.dumps(value, ensure_ascii=False))
