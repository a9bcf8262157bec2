"""``python -m tools.chart [CHART]`` writes values.schema.json, files/*.json and the table of README.md in CHART."""

import json
import sys
from pathlib import Path
from typing import Any

from adql.config import yaml_text
from tools.chart.comments import ChartError, parameters
from tools.chart.identity import identity
from tools.chart.numbers import numbers
from tools.chart.readme import table, with_table
from tools.chart.schema import schema_of
from tools.chart.specification import specification

CHART = Path(__file__).parents[2] / "charts" / "adql"


def generated(chart: Path) -> dict[Path, str]:
    """Returns what belongs into each generated file of ``chart``.

    Raises:
        ChartError: values, comments and constraints do not fit together.
    """
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    values = yaml_text.read(text)
    found = parameters(text, values)
    schema = schema_of(values, found)
    readme = (chart / "README.md").read_text(encoding="utf-8")
    return {
        chart / "values.schema.json": _json(schema),
        chart / "files" / "identity.json": _json(identity()),
        chart / "files" / "numbers.json": _json(numbers(schema)),
        chart / "files" / "specification.json": _json(specification()),
        chart / "README.md": with_table(readme, table(found, values)),
    }


def _json(tree: dict[str, Any]) -> str:
    return f"{json.dumps(tree, indent=2, ensure_ascii=False)}\n"


def main(arguments: list[str]) -> int:
    """Writes the files; returns the exit code."""
    try:
        for path, text in generated(Path(arguments[0]) if arguments else CHART).items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except ChartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
