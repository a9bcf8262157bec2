"""The words of ``adql dashboard``; nothing heavy is imported before they are known."""

import argparse
from pathlib import Path
from typing import Any


def add_dashboard(commands: Any) -> None:
    """Adds the command and its own."""
    dashboard = commands.add_parser("dashboard", help="about the Grafana dashboards")
    render = dashboard.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser(
        "render",
        help="draw the dashboards Learning and Asynchrony as PNG",
        description="Draws the panels of the dashboards Learning and Asynchrony from a Prometheus as PNG, for reports: "
        "with matplotlib, not with Grafana, so that they look alike and not the same.",
    )
    render.add_argument("directory", metavar="DIR", type=Path, help="where learning.png and asynchrony.png go")
    render.add_argument("--prometheus", metavar="URL", required=True, help="its address, http://localhost:9090")
    render.add_argument(
        "--hours",
        metavar="H",
        type=float,
        default=24.0,
        help="how far back to look for the run, which is drawn from its beginning; %(default)g by default",
    )
    render.add_argument("--namespace", metavar="NAME", help="the run's namespace, where Prometheus has several runs")
    render.add_argument("--release", metavar="NAME", help="the run's Helm release, where Prometheus has several runs")
    render.set_defaults(parser=render, command=_render)


def _render(options: argparse.Namespace) -> int:
    from adql_services.dashboard.render import render

    return render(options.directory, options.prometheus, options.hours, options.namespace, options.release)
