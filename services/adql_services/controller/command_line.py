"""``adql controller``: its words; nothing heavy is imported before it is to be done."""

import argparse
from typing import Any


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    command = commands.add_parser(
        "controller", help="set the number of learners on Kubernetes, configured by ADQL_* variables"
    )
    command.settings = "ControllerSettings"
    command.set_defaults(parser=command, command=_control, service="controller")


def _control(options: argparse.Namespace) -> int:
    from adql.config import ControllerSettings, load_settings
    from adql.errors import MissingExtraError

    settings = load_settings(ControllerSettings)
    try:
        from adql_services.controller.main import run
    except ImportError as error:
        raise MissingExtraError(
            f"`adql controller` needs the Kubernetes client ({error.name} is not installed): "
            "pip install '.[kubernetes]' in ADQL's folder, or take the image adql/service"
        ) from None
    return run(settings)
