"""Which packages an installation needs."""

import importlib.metadata
import re


def requirements() -> list[str]:
    """Returns the names of what ADQL needs, its extras apart."""
    lines = importlib.metadata.requires("adql") or []
    return [re.split(r"[^\w.-]", line)[0] for line in lines if "extra" not in line]
