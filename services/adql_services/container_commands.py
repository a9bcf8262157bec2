"""What containers type, and people seldom: ``probe`` for health checks, ``pod`` for ``adql k8s`` and for compose."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adql_services.cluster.download import Completing

OK = 0


def add(
    commands: "argparse._SubParsersAction[Any]", environ: Mapping[str, str], complete: "Callable[[], Completing]"
) -> None:
    """Adds the commands; ``environ`` names the service that is asked, ``complete`` returns what makes a report."""
    _add_probe(commands, environ)
    _add_pod(commands, complete)


def _add_probe(commands: "argparse._SubParsersAction[Any]", environ: Mapping[str, str]) -> None:
    probe = commands.add_parser(
        "probe",
        help="ask the service of ADQL_SIDE whether it is ready: exit code 0 or 1",
        description="Asks the side port that ADQL_SIDE names whether its service is ready, for the health check of a"
        " container: the answer is one line, the exit code 0 (yes), 1 (no, or nobody is there) or 2 (no such address).",
    )
    probe.add_argument("--live", action="store_true", help="ask /livez, whether it makes progress, and not /readyz")
    probe.set_defaults(parser=probe, command=_probe, side=environ.get("ADQL_SIDE"))


def _add_pod(commands: "argparse._SubParsersAction[Any]", complete: "Callable[[], Completing]") -> None:
    """Without help, so that it is not listed: `adql k8s` types it, in containers of the stateful services."""
    words = commands.add_parser("pod").add_subparsers(
        required=True, metavar="status | export | folder | room | restore"
    )
    commands_of = {
        "status": _pod_status,
        "export": _pod_export,
        "folder": lambda _: _pod_folder(complete()),
        "room": _pod_room,
        "restore": _pod_restore,
    }
    for word, command in commands_of.items():
        parser = words.add_parser(word)
        parser.set_defaults(parser=parser, command=command)
    words.choices["restore"].add_argument("checkpoint", nargs="?", type=Path)


def _probe(options: argparse.Namespace) -> int:
    from adql.errors import InputError
    from adql_services.runtime.probe import LIVE, READY, probe

    if not options.side:
        raise InputError("ADQL_SIDE is not set; set it to the address of the service's side port")
    print(probe(options.side, LIVE if options.live else READY))  # noqa: T201  the command's answer
    return OK


def _pod_status(options: argparse.Namespace) -> int:
    import json

    from adql.config import ParameterServerSettings, load_settings
    from adql_services.parameter_server.inside import status

    sys.stdout.write(json.dumps(status(load_settings(ParameterServerSettings))) + "\n")
    return OK


def _pod_export(options: argparse.Namespace) -> int:
    from adql.config import ParameterServerSettings, load_settings
    from adql_services.parameter_server.inside import export

    export(load_settings(ParameterServerSettings), sys.stdout.buffer)
    return OK


def _pod_room(options: argparse.Namespace) -> int:
    import json

    from adql.config import ParameterServerSettings, load_settings
    from adql.files import check_writable
    from adql_services.runtime.room import room

    directory = load_settings(ParameterServerSettings).directory  # replay's is the same
    sys.stdout.write(json.dumps(room(directory, check_writable)) + "\n")
    return OK


def _pod_restore(options: argparse.Namespace) -> int:
    from adql.config import ParameterServerSettings, load_settings
    from adql_services.local.restore import ON_KUBERNETES, restore

    return restore(load_settings(ParameterServerSettings).directory, options.checkpoint, ON_KUBERNETES)


def _pod_folder(complete: "Completing") -> int:
    from adql.config import ParameterServerSettings, load_settings
    from adql_services.parameter_server.inside import folder

    folder(load_settings(ParameterServerSettings), sys.stdout.buffer, complete)
    return OK
