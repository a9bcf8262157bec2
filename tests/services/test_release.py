import importlib.metadata

import pytest

from adql_services.cli import main
from adql_services.runtime.app import application


def test_service_and_command_line_say_the_version_that_is_installed(monkeypatch, capsys):
    monkeypatch.setattr(importlib.metadata, "version", {"adql": "9.8.7"}.__getitem__)
    assert application("small", tokens=None).version == "9.8.7"
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == "adql 9.8.7\n"
