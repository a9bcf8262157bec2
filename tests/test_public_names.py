"""What a program may import from each room, and what that costs it."""

import importlib
import importlib.metadata
import importlib.resources
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import adql

ROOMS = ("adql.agent", "adql.config", "adql.parameters", "adql.replay", "adql.wire")
HEAVY = {"torch", "redis", "fastapi", "uvicorn", "prometheus_client"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there_and_says_what_it_is(room: str):
    module = importlib.import_module(room)
    named = {name: getattr(module, name) for name in module.__all__}
    described = {name: found for name, found in named.items() if inspect.isclass(found) or inspect.isfunction(found)}
    assert described
    assert [name for name, found in described.items() if not found.__module__.startswith("adql.")] == []
    assert [name for name, found in described.items() if not inspect.getdoc(found)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_room_is_imported_alone_without_what_others_need(room: str):
    heavy = HEAVY if room == "adql.agent" else HEAVY | {"gymnasium"}
    code = f"import sys, {room}; print(*sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_help_of_the_command_line_loads_no_library():
    code = "import sys, adql_services.cli as cli; cli._parser().format_help(); print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("package", ["adql", "adql_services"])
def test_types_of_both_packages_are_told(package: str):
    assert (importlib.resources.files(package) / "py.typed").is_file()


def test_version_is_the_one_of_the_installed_package():
    assert adql.__version__ == importlib.metadata.version("adql")
    assert not hasattr(adql, "__verzion__")


def test_copy_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(AttributeError, match="adql is not installed and has no version"):
        _ = adql.__version__


def test_package_is_imported_without_looking_for_its_version():
    code = "import sys; before = set(sys.modules); import adql; print(*sorted(set(sys.modules) - before))"
    places = {"PYTHONPATH": str(Path(adql.__file__).parents[1])}  # without site there are no installed packages
    found = subprocess.run([sys.executable, "-S", "-c", code], env=places, capture_output=True, text=True, check=True)
    assert "adql" in found.stdout.split() and "importlib.metadata" not in found.stdout.split()
