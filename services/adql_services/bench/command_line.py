"""The words of ``adql bench``; nothing heavy is imported before they are known."""

import argparse
from typing import Any

DESCRIPTION = """Starts a parameter server and its store in a temporary folder (TMPDIR says where), as `adql train`
does, and loads them from one thread with registered clients, whose updates are applied and answered by new parameters.
One JSON line: updates applied a second, quantiles of the time to the last byte of an answer, CPU milliseconds and bytes
of the store per update, the longest time that an applied version waited for its commit, errors, and how many cores each
process used."""


def add(commands: Any) -> None:
    """Adds the command and its own."""
    bench = commands.add_parser("bench", help="measure a service under load")
    services = bench.add_subparsers(title="services", required=True, metavar="SERVICE")
    server = services.add_parser("server", help="the parameter server", description=DESCRIPTION)
    _add_options(server)
    server.add_argument(
        "specification", nargs="*", metavar="key=value", help="keys of the run, such as update.rule=gradient"
    )
    server.set_defaults(parser=server, command=_server)


def _add_options(server: argparse.ArgumentParser) -> None:
    add = server.add_argument
    add("--clients", metavar="N", type=int, default=64, help="sessions that push; %(default)s by default")
    add("--size", metavar="BYTES", default="270KB", help="of the parameters, as 270KB or 7MB; %(default)s by default")
    add("--seconds", metavar="S", type=float, default=10.0, help="how long to measure; %(default)g by default")
    add("--rate", metavar="R", type=float, help="pushes offered a second by all clients; by default all that pass")
    add("--durable", action="store_true", help="pushes are answered after their commit")
    add("--transport", choices=("tcp", "unix"), default="tcp", help="to the server; %(default)s by default")


def _server(options: argparse.Namespace) -> int:
    from adql_services.bench.server import Case, bench_server

    case = Case(options.clients, options.size, options.seconds, options.durable, options.rate, options.transport)
    return bench_server(case, options.specification)
