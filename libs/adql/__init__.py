"""ADQL: asynchronous distributed Q-learning."""

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:  # else every misspelt name of this module would be a text to mypy

    def __getattr__(name: str) -> str:
        """Looks the version up in the installed package, which pyproject.toml names, once it is asked for."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib.metadata

        try:
            return importlib.metadata.version(__name__)
        except importlib.metadata.PackageNotFoundError:
            raise AttributeError(f"{__name__} is not installed and has no version; run `pip install`") from None
