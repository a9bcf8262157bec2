"""``python -m tools.dashboards`` writes the dashboards and the alert rules to where chart and compose read them."""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards import asynchrony, fleet, learning, replay
from tools.dashboards.alerts import rule_file

ROOT = Path(__file__).parents[2]
BOARDS = {"learning": learning, "asynchrony": asynchrony, "replay": replay, "fleet": fleet}
COMMAND = "python -m tools.dashboards"


def files() -> Mapping[Path, str]:
    """Returns what is generated, by its path from the root of the repository."""
    boards = {Path(f"charts/adql/dashboards/{name}.json"): _board(module.board()) for name, module in BOARDS.items()}
    return {**boards, Path("charts/adql/rules/alerts.yaml"): _rules()}


def _board(board: Dashboard) -> str:
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(board.build()) + "\n"


def _rules() -> str:
    dumped = yaml.dump(rule_file(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by `{COMMAND}`; change tools/dashboards/alerts.py instead.\n{dumped}"


class _Dumper(yaml.SafeDumper):
    """Several lines stay several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def main() -> int:
    """Writes every file."""
    for path, text in files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
