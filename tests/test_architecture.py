"""Who may import whom: one way, no cycles, libraries only in their rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    "adql": ROOT / "libs" / "adql",
    "adql_services": ROOT / "services" / "adql_services",
    "tools": ROOT / "tools",
}

ALLOWED = {
    "adql.errors": set(),
    "adql.types": set(),
    "adql.schedules": set(),
    "adql.episodes": set(),
    "adql.files": set(),
    "adql.bundle": {"adql.errors"},
    "adql.encodings": {"adql.types", "adql.errors"},
    "adql.compression": {"adql.errors"},
    "adql.frames": {"adql.types", "adql.errors", "adql.compression"},
    "adql.config": {"adql.errors", "adql.schedules"},
    "adql.agent": {
        "adql.types", "adql.errors", "adql.config", "adql.schedules", "adql.episodes",
        "adql.parameters.optimizers", "adql.parameters.initial", "adql.parameters.policies",
    },
    "adql.replay": {"adql.types", "adql.errors", "adql.config", "adql.files", "adql.frames"},
    "adql.parameters": {
        "adql.types", "adql.errors", "adql.config", "adql.schedules", "adql.encodings", "adql.episodes", "adql.files",
    },
    "adql.wire": {"adql.types", "adql.errors", "adql.config", "adql.encodings", "adql.compression", "adql.frames"},
    "adql.telemetry": {"adql.errors"},
    "tools.chart": {"adql.config"},
    "tools.dashboards": set(),
    "adql_services.runtime": {"adql.wire", "adql.telemetry", "adql.config", "adql.errors", "adql.types"},
}  # fmt: skip
LIBRARIES = {
    *("adql.wire", "adql.telemetry", "adql.config", "adql.types", "adql.errors", "adql.schedules", "adql.encodings"),
    *("adql.compression", "adql.episodes", "adql.files", "adql.bundle"),
}
SERVICES = {
    "adql_services.parameter_server": LIBRARIES | {"adql.parameters", "adql_services.runtime"},
    "adql_services.replay": LIBRARIES | {"adql.replay", "adql_services.runtime"},
    "adql_services.learner": LIBRARIES | {"adql.agent", "adql_services.runtime"},
    "adql_services.selftest": LIBRARIES | {"adql.agent", "adql_services.runtime"},
    "adql_services.evaluator": LIBRARIES | {"adql.agent", "adql_services.runtime"},
    "adql_services.controller": LIBRARIES | {"adql_services.runtime", "adql_services.cluster.api"},
    "adql_services.cluster": {"adql.bundle", "adql.config", "adql.errors", "adql_services.runtime"},
    "adql_services.dashboard": {"adql.errors"},
    "adql_services.bench": LIBRARIES
    | {"adql.agent", "adql.parameters", "adql_services.runtime", "adql_services.local"},
    "adql_services.local": LIBRARIES | {"adql.agent", "adql.parameters", "adql_services.runtime"},
}
HOMES = {
    "redis": {"adql.parameters.store"},
    "gymnasium": {"adql.agent.environments"},
    "torch": {"adql.agent"},
    "prometheus_client": {"adql.telemetry", "adql_services.runtime.side_port"},
    "fastapi": {"adql_services"},
    "uvicorn": {"adql_services.runtime"},
    "yaml": {"adql.config", "tools"},
    "os.environ": {"adql.config.loading", "adql_services.cli"},  # the latter sets the number of BLAS threads
    "pickle": set(),
    "kubernetes": {"adql_services.cluster.api"},
    "psutil": {"adql_services.local", "adql_services.bench"},
    "rich": {"adql_services.local.live"},
    "zstandard": {"adql.compression"},
    "matplotlib": {"adql_services.dashboard.drawing"},
}
"""Third-party module → the only rooms that may import it."""


def modules() -> dict[str, Path]:
    found = {}
    for package, root in SOURCES.items():
        for file in root.rglob("*.py"):
            parts = file.relative_to(root).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = file
    return found


MODULES = modules()


def imports_of(module: str) -> set[str]:
    """Every dotted name that ``module`` imports; ``from a import b`` is a.b where that is a module, else a."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ":
            found.add("os.environ")
    return found


def lies_in(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def own(names: set[str]) -> Iterator[str]:
    return (name for name in names if name.split(".")[0] in SOURCES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_imports_only_the_rooms_that_it_may(module: str):
    allowed = (ALLOWED | SERVICES).get(room_of(module))
    if allowed is None:  # the packages themselves and the command line, which starts every service by name
        command_line = {f"adql_services.{name}" for name in ("cli", "arguments", "container_commands", "__main__")}
        assert module in set(SOURCES) | command_line
        return
    for name in own(imports_of(module)):
        inside = room_of(name) == room_of(module)
        assert inside or any(lies_in(name, room) for room in allowed), f"{module} imports {name}"


@pytest.mark.parametrize("library", sorted(HOMES))
def test_library_is_imported_only_where_it_lives(library: str):
    for module in MODULES:
        if any(lies_in(name, library) for name in imports_of(module)):
            assert any(lies_in(module, home) for home in HOMES[library]), f"{module} imports {library}"


def test_imports_have_no_cycle():
    graph = {module: {name for name in imports_of(module) if name in MODULES} for module in MODULES}
    while leaves := {module for module, targets in graph.items() if not targets}:
        graph = {module: targets - leaves for module, targets in graph.items() if module not in leaves}
    assert graph == {}, f"in or above a cycle: {sorted(graph)}"


def test_no_file_is_longer_than_400_lines():
    long = {m: n for m, file in MODULES.items() if (n := len(file.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}
