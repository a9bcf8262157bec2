"""The documents' blocks of code, for tests that do what they say."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """Returns the code of every block of ``language`` in ``document``, a path below the root."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [textwrap.dedent(code) for code in re.findall(rf"```{language}\n(.*?) *```", text, re.DOTALL)]
