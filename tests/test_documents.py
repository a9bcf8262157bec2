"""What the documents tell a newcomer to type: programs run, commands and settings are accepted, paths exist."""

import itertools
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from safetensors.numpy import save_file

from adql.agent import make_environment, make_network, resolve
from adql.config import EnvironmentSettings, NetworkSettings, load_specification
from adql.parameters.policies import CHECKSUM, checksum_of
from adql_services import cli
from tests.readme import ROOT, blocks

READMES = ("README.md", "README.zh.md")
DOCUMENTS = (
    *READMES,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{name}.md" for name in ("ARCHITECTURE", "DECISIONS", "RESULTS")),
)
POLICY = "policy-best.safetensors"


def commands(document: str) -> list[list[str]]:
    """Every ``adql …`` of the shell blocks, in words, without comments, variables before it, & and what is behind >."""
    shell = [block.replace("\\\n", " ") for block in blocks(document, "sh")]
    lines = [line for block in shell for line in block.splitlines() if re.search(r"\badql ", line)]
    words = [shlex.split(line.split(" > ")[0].rstrip(" &"), comments=True) for line in lines]
    bare = [[*itertools.dropwhile(re.compile(r"[A-Z_]+=").match, line)] for line in words]
    return [[word for word in line[1:] if word != "&"] for line in bare if line[0] == "adql"]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A policy as a run writes it, of parameters that are all 0."""
    environment = resolve(EnvironmentSettings(id="CartPole-v1"))
    network = make_network(NetworkSettings(), environment.signature)
    vector = np.zeros(sum(entry.size for entry in network.manifest.entries), np.float32)
    keys = f'{{"environment": {environment.model_dump_json()}, "network": {NetworkSettings().model_dump_json()}}}'
    save_file(dict(network.manifest.views(vector)), tmp_path / POLICY, {"keys": keys, CHECKSUM: checksum_of(vector)})
    return tmp_path


@pytest.mark.parametrize("document", READMES)
def test_programs_of_the_readme_are_short_and_do_what_they_say(document, stored, capsys):
    programs = blocks(document, "python")[1:]
    assert len(programs) == 2 and max(len(program.splitlines()) for program in programs) <= 25
    answers = []
    for program in programs:
        exec(compile(re.sub(r"runs/CartPole-v1-[\d-]+", str(stored), program), document, "exec"), {})
        answers.append(float(capsys.readouterr().out))
    # A policy of zeros always does the same and falls after a few steps; −13 is the best return there is on the cliff.
    assert 5 <= answers[0] <= 20 and answers[1] == -13


@pytest.fixture
def my_package(document, tmp_path, monkeypatch):
    """The module of the README, ready to be imported anew."""
    (tmp_path / "my_package.py").write_text(blocks(document, "python")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    monkeypatch.delitem(gymnasium.registry, "MyEnv-v0", raising=False)


@pytest.mark.usefixtures("my_package")
@pytest.mark.parametrize("document", READMES)
def test_environment_of_the_readme_can_be_trained_on(document):
    command = next(words for words in commands(document) if "my_package:MyEnv-v0" in words)
    environment = cli._load(cli._options(command)).environment
    assert environment.signature is not None and environment.signature.actions == 2


@pytest.mark.usefixtures("my_package")
@pytest.mark.parametrize("document", READMES)
def test_policy_of_an_own_environment_plays_in_the_way_that_the_readme_tells(document):
    (told,) = re.findall(r"`(make_environment\(.*?\))`", (ROOT / document).read_text(encoding="utf-8"))
    policy = SimpleNamespace(environment=EnvironmentSettings(id="my_package:MyEnv-v0"))
    assert eval(told, {"make_environment": make_environment, "policy": policy}).action_space.n == 2


@pytest.mark.parametrize("document", READMES)
def test_commands_and_settings_of_the_readme_are_accepted(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("experiment.yaml").write_text(blocks(document, "yaml")[0], encoding="utf-8")
    found = commands(document)
    assert len(found) >= 14
    for words in found:
        options = cli._options(words)
        if "specification" in options:
            load_specification(*cli._layers(options), {})
        elif "assignments" in options:
            load_specification(None, options.assignments, {})


def test_both_readmes_show_the_same_commands_settings_and_programs():
    for language in ("python", "yaml", "sh", "dockerfile"):
        english, chinese = ([_bare(block) for block in blocks(document, language)] for document in READMES)
        assert english == chinese
    rows, headings = ([_count(document, mark) for document in READMES] for mark in (r"^\|", r"^## "))
    assert rows[0] == rows[1] and headings[0] == headings[1]


def _program(module: str) -> Path:
    """The file that `python -m module` runs."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def _bare(block: str) -> list[str]:
    """The lines of a block without comments, which are told in words."""
    return [re.sub(r"\s*#.*", "", line) for line in block.splitlines()]


def _count(document: str, mark: str) -> int:
    return len(re.findall(mark, (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_in_the_tree_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [(ROOT / document).parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    modules = [_program(name) for name in re.findall(r"-m (tests\.[\w.]+)", text)]
    files = [ROOT / name for name in re.findall(r"\btests/[\w/]+\.py\b", text)]
    rooms = re.findall(r"`((?:agent|config|local|parameters|replay|wire|learner)/\w+\.py)`", text)
    sources = [ROOT / "services/adql_services", ROOT / "libs/adql"]
    assert [str(path) for path in (*links, *modules, *files) if not path.exists()] == []
    assert [room for room in rooms if not any((source / room).exists() for source in sources)] == []


def test_map_of_the_code_names_every_room():
    code_map = blocks("docs/ARCHITECTURE.md", "")[1]
    for source in ("services/adql_services", "libs/adql"):
        for path in (ROOT / source).iterdir():
            room = f"{path.name}/" if path.is_dir() else path.name
            if not room.startswith("_") and room != "py.typed":
                assert re.search(rf"(^|\s){re.escape(room)}(\s|$)", code_map), room
