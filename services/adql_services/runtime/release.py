"""Which release this is."""

import importlib.metadata


def version() -> str:
    """Returns the version of the installed package, which pyproject.toml names."""
    return importlib.metadata.version("adql")
