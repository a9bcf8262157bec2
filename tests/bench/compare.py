"""Has anything become slower? ``python -m tests.bench.compare OLD.jsonl NEW.jsonl [--tolerance 0.25]``.

Two files with the lines that benchmarks printed. Only ratios are compared, fields whose name begins with ``times_``
(lower is better): they were measured within one run, so that the machine and what else it did have little part in them.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RATIO = "times_"
Line = Mapping[str, Any]


def ratios(path: Path) -> dict[tuple[str, ...], float]:
    """Returns every ratio by the words that say what was measured; a later line replaces an earlier one."""
    found: dict[tuple[str, ...], float] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        line: Line = json.loads(text)
        case = tuple(f"{key}={value}" for key, value in sorted(line.items()) if isinstance(value, str))
        found |= {(*case, key): float(value) for key, value in line.items() if key.startswith(RATIO)}
    return found


def slower(old: Path, new: Path, tolerance: float) -> Iterator[str]:
    """Yields a sentence for each ratio of ``old`` that is worse in ``new``, or that is not there any more."""
    before, after = ratios(old), ratios(new)
    for case, ratio in before.items():
        if case not in after:
            yield f"{' '.join(case)}: {ratio:g} before, not measured now"
        elif after[case] > ratio * (1 + tolerance):
            yield f"{' '.join(case)}: {after[case]:g}, {ratio:g} before; allowed is {ratio * (1 + tolerance):.3g}"


def main() -> int:
    """Prints what became slower; 1 if anything did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.25, help="share by which a ratio may grow; %(default)s")
    options = parser.parse_args()
    complaints = list(slower(options.old, options.new, options.tolerance))
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
