"""The words of `adql k8s`, typed as a person would, where there is no cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from adql_services.cli import main
from tests.system.launched import ENVIRONMENT, adql

WITHOUT_CLIENT = """
import sys
sys.modules["kubernetes"] = None
from adql_services.cli import main
sys.exit(main(["k8s", "status"]))
"""
IMPORTED = """
import sys
from adql_services.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print({"kubernetes", "numpy", "yaml"} & set(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["k8s", "--help"], ["k8s", "download", "--help"]])
def test_help_imports_nothing_heavy(words):
    done = subprocess.run([sys.executable, "-c", IMPORTED, *words], env=ENVIRONMENT, capture_output=True, check=True)
    assert done.stderr.decode().strip() == "set()"


def test_help_names_what_people_type_and_not_what_the_command_itself_does(capsys):
    for words, there in ((["--help"], ["k8s"]), (["k8s", "--help"], ["status", "scale", "logs", "download", "port-"])):
        with pytest.raises(SystemExit):
            main(words)
        said = capsys.readouterr().out
        assert all(f"    {word}" in said for word in there)
        assert "    pod" not in said


def test_client_that_is_not_installed_is_told_with_the_extra_to_install():
    done = subprocess.run([sys.executable, "-c", WITHOUT_CLIENT], env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 2
    said = done.stderr.decode()
    assert said.startswith("adql: error: `adql k8s` needs the Kubernetes client") and said.count("\n") == 1
    assert "pip install '.[kubernetes]'" in said


def test_kubeconfig_that_is_not_there_is_told_in_one_line(tmp_path):
    done = adql("k8s", "status", environ={"KUBECONFIG": str(tmp_path / "none")})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "make one, such as by `kind create cluster`, or name the file of yours by KUBECONFIG" in done.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["k8s"], "COMMAND"),
        (["k8s", "scale"], "N"),
        (["k8s", "scale", "two"], "two"),
        (["k8s", "scale", "2", "--relase", "a"], "did you mean --release?"),
        (["k8s", "port-forward", "valkey"], "valkey"),
        (["k8s", "stats"], "stats"),
    ],
)
def test_misspelt_word_is_one_line(words, part, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and part in said


def test_folder_that_cannot_take_a_download_is_refused_before_the_cluster_is_asked(tmp_path):
    (tmp_path / "kept").touch()
    config = Path(tmp_path / "config")
    config.write_text(
        "{current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}], "
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]}"
    )
    done = adql("k8s", "download", tmp_path, environ={"KUBECONFIG": str(config)})
    assert done.returncode == 2 and "is there and not empty; name another DIR" in done.stderr
