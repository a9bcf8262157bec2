"""Nothing that was received or stored is ever run: what could do so is not in the libraries and services at all."""

import ast
from collections.abc import Iterator

import pytest

from tests.test_architecture import MODULES

FORBIDDEN = {
    *("pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "runpy"),
    *("eval", "exec", "compile", "__import__", "builtins"),
    *("torch.load", "torch.hub", "torch.jit", "torch.package", "torch.serialization"),
    *("numpy.load", "numpy.lib.format", "numpy.lib.npyio", "os.system", "os.popen"),
}
"""Names, and all below them, that turn bytes or text into code."""
HOMES = {"importlib.import_module": {"adql.agent.environments"}}
"""Name → the only modules that may say it: this one asks ``environment.allow`` first."""
SAFE_YAML = {
    *("yaml.SafeLoader", "yaml.SafeDumper", "yaml.YAMLError", "yaml.dump", "yaml.load"),
    *("yaml.MappingNode", "yaml.ScalarNode"),
}
"""All that is used of it; ``yaml.load`` with a Loader of its own that is a SafeLoader, nodes to look at."""


def offences(source: str, module: str = "") -> list[str]:
    """Returns what is forbidden in ``source``, a line each."""
    tree = ast.parse(source)
    names = imported_names(tree)
    found = [f"{line}: {name}" for line, name in said_names(tree, names) if is_forbidden(name, module)]
    return found + [f"{call.lineno}: {why}" for call in calls(tree) if (why := bad_call(call, tree, names))]


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Returns what each name of the module stands for: ``np`` is numpy."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def said_names(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yields every dotted name, in imports too, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node, names)):
            yield node.lineno, name


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """Returns the whole name of ``a.b.c``, the empty text of anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (whole := dotted(node.value, names)):
        return f"{whole}.{node.attr}"
    return ""


def is_forbidden(name: str, module: str) -> bool:
    below = any(name == root or name.startswith(f"{root}.") for root in FORBIDDEN)
    elsewhere = name in HOMES and module not in HOMES[name]
    return below or elsewhere or (name.startswith("yaml.") and name not in SAFE_YAML)


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def bad_call(call: ast.Call, tree: ast.AST, names: dict[str, str]) -> str:
    """Returns what makes a call unsafe though its name is not."""
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if keywords.get("allow_pickle", "False") != "False":
        return f"allow_pickle={keywords['allow_pickle']}"
    if keywords.get("shell", "False") != "False":
        return f"shell={keywords['shell']}"
    if dotted(call.func, names) == "yaml.load" and keywords.get("Loader") not in safe_loaders(tree, names):
        return "yaml.load without a SafeLoader"
    return ""


def safe_loaders(tree: ast.AST, names: dict[str, str]) -> set[str]:
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return {c.name for c in classes if [dotted(base, names) for base in c.bases] == ["yaml.SafeLoader"]}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_turns_no_data_into_code(module: str):
    assert offences(MODULES[module].read_text(encoding="utf-8"), module) == []


PLANTED = [
    *("import pickle", "from pickle import loads", "import dill as d", "import marshal, os", "import shelve"),
    *("import cloudpickle", "x = eval(text)", "exec(text)", "run = eval", "compile(text, 'a', 'exec')"),
    *("__import__(name)", "import builtins\nbuiltins.eval(text)", "import os\nos.system(text)"),
    *("import torch\ntorch.load(path)", "import torch as t\nt.load(path, weights_only=True)"),
    *("from torch import load\nload(path)", "from torch import load as read", "import torch.hub"),
    *("import yaml\nyaml.load(text)", "import yaml\nyaml.load(text, Loader=yaml.Loader)"),
    *("import yaml as y\ny.unsafe_load(text)", "from yaml import full_load", "from yaml import Loader"),
    *("import yaml\nclass L(yaml.UnsafeLoader): ...\nyaml.load(text, Loader=L)",),
    *("import numpy as np\nnp.load(path)", "read(path, allow_pickle=True)", "read(path, allow_pickle=trusted)"),
    *("import importlib\nimportlib.import_module(name)", "import subprocess\nsubprocess.run(text, shell=True)"),
]


@pytest.mark.parametrize("source", PLANTED)
def test_planted_way_from_data_to_code_is_found(source: str):
    assert offences(source, "adql.planted")


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile(text)",
        "import msgspec\nmsgspec.json.decode(text)",
        "import yaml\nclass L(yaml.SafeLoader): ...\nyaml.load(text, Loader=L)",
        "table.load(state)",
        "read(path, allow_pickle=False)",
    ],
)
def test_harmless_code_is_let_pass(source: str):
    assert offences(source, "adql.harmless") == []
