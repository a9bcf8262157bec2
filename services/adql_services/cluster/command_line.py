"""``adql k8s …``: its words; nothing heavy is imported before one of them is to be done."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adql_services.cluster.api import Cluster
    from adql_services.cluster.download import Completing

Options = argparse.Namespace
FORWARDED = ("parameter-server", "replay", "prometheus")


def add(commands: "argparse._SubParsersAction[Any]", complete: "Callable[[], Completing]") -> None:
    """Adds the command; ``complete`` returns what makes summary and report of a download."""
    k8s = commands.add_parser("k8s", help="look after a release of the chart: status, scale, logs, download, restore")
    words = k8s.add_subparsers(title="commands", required=True, metavar="COMMAND")
    status = words.add_parser("status", help="say what runs, how the run stands, and what is wrong")
    _finish(status, _status)
    scale = words.add_parser("scale", help="set how many learners there are to be")
    scale.add_argument("number", metavar="N", type=int, help="0 rests the run; it goes on with the next ones")
    scale.add_argument("--actors", action="store_true", help="actors instead, where the release has them")
    _finish(scale, _scale)
    logs = words.add_parser("logs", help="print what the pods say")
    logs.add_argument("component", metavar="COMPONENT", nargs="?", help="such as learner; all of them by default")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what they say from now on")
    logs.add_argument("--tail", metavar="N", type=int, help="the last N lines of each pod; all by default")
    _finish(logs, _logs)
    download = words.add_parser("download", help="make the DIR that `adql train` makes, from the run's volume")
    download.add_argument("directory", metavar="DIR", type=Path, help="a folder that is not there yet")
    _finish(download, lambda options: _download(options, complete()))
    restore = words.add_parser("restore", help="put a lost weight store back from the newest checkpoint")
    restore.add_argument(
        "--checkpoint", metavar="FILE", help="on the run's volume; by default the newest that can be read"
    )
    _finish(restore, _restore)
    forward = words.add_parser("port-forward", help="let a port of this machine lead into the cluster")
    forward.add_argument("what", choices=FORWARDED, help="the service to reach")
    forward.add_argument("--port", metavar="N", type=int, help="on this machine; the service's own by default")
    forward.add_argument("--side", action="store_true", help="its side port, with /livez, /readyz and /metrics")
    _finish(forward, _port_forward)


def _finish(parser: argparse.ArgumentParser, command: Callable[[Options], int]) -> None:
    parser.add_argument("-n", "--namespace", metavar="NAME", help="of the release; the context's own by default")
    parser.add_argument("--release", metavar="NAME", default="adql", help="as it was installed; %(default)s by default")
    parser.add_argument("--context", metavar="NAME", help="of the kubeconfig; its current one by default")
    parser.set_defaults(parser=parser, command=command)


def _cluster(options: Options) -> "Cluster":
    """Connects as the options say.

    Raises:
        MissingExtraError: the Kubernetes client is not installed.
    """
    from adql.errors import MissingExtraError

    try:
        from adql_services.cluster.api import Cluster
    except ImportError as error:
        raise MissingExtraError(
            f"`adql k8s` needs the Kubernetes client ({error.name} is not installed): "
            "pip install '.[kubernetes]' in ADQL's folder"
        ) from None
    return Cluster(options.context, options.namespace)


def _status(options: Options) -> int:
    cluster = _cluster(options)
    from adql_services.cluster.status import status

    return status(cluster, options.release)


def _scale(options: Options) -> int:
    cluster = _cluster(options)
    from adql_services.cluster.release import ACTOR, LEARNER
    from adql_services.cluster.scaling import scale

    return scale(cluster, options.release, ACTOR if options.actors else LEARNER, options.number)


def _logs(options: Options) -> int:
    cluster = _cluster(options)
    from adql_services.cluster.logs import logs

    return logs(cluster, options.release, options.component, follow=options.follow, lines=options.tail)


def _download(options: Options, complete: "Completing") -> int:
    cluster = _cluster(options)
    from adql_services.cluster.download import download

    return download(cluster, options.release, options.directory, complete)


def _restore(options: Options) -> int:
    cluster = _cluster(options)
    from adql_services.cluster.restoring import restore

    return restore(cluster, options.release, options.checkpoint)


def _port_forward(options: Options) -> int:
    cluster = _cluster(options)
    from adql_services.cluster.forwarding import port_forward

    port_forward(cluster, options.release, options.what, options.port, side=options.side)
