"""``python -m tools.chart [CHART]`` writes CHART/values.schema.json and the table in CHART/README.md."""

import json
import sys
from pathlib import Path

from adql.config import yaml_text
from tools.chart.comments import ChartError, parameters
from tools.chart.readme import table, with_table
from tools.chart.schema import schema_of

CHART = Path(__file__).parents[2] / "charts" / "adql"


def generated(chart: Path) -> dict[Path, str]:
    """Returns what belongs into each generated file of ``chart``.

    Raises:
        ChartError: values, comments and constraints do not fit together.
    """
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    values = yaml_text.read(text)
    found = parameters(text, values)
    schema = json.dumps(schema_of(values, found), indent=2, ensure_ascii=False)
    readme = (chart / "README.md").read_text(encoding="utf-8")
    return {
        chart / "values.schema.json": f"{schema}\n",
        chart / "README.md": with_table(readme, table(found, values)),
    }


def main(arguments: list[str]) -> int:
    """Writes the files; returns the exit code."""
    try:
        for path, text in generated(Path(arguments[0]) if arguments else CHART).items():
            path.write_text(text, encoding="utf-8")
    except ChartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
