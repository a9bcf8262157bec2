"""A real Prometheus on loopback that scrapes what a test names."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.promtool import program
from tests.ports import free_port
from tests.waiting import wait_until

INTERVAL = "1s"
Read = Callable[[], bytes]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scrape that timed out has hung up."""


class PagesOnLoopback:
    """Serves /NAME on a TCP port by what ``read[NAME]`` returns: services of a local run listen on unix sockets."""

    def __init__(self, read: Mapping[str, Read]) -> None:
        self._server = _Server(("127.0.0.1", 0), _handler(read))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "PagesOnLoopback":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(read: Mapping[str, Read]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                page = read[self.path.removeprefix("/")]()
            except Exception as error:
                self.send_error(503, str(error)[:100])
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class Prometheus:
    """Scrapes ``jobs``, pod → job, at ``address``/POD; as a context manager it leaves no process behind."""

    def __init__(self, directory: Path, address: str, jobs: Mapping[str, str], *rules: Path) -> None:
        directory.mkdir(parents=True)
        self._log = directory / "log"
        scrapes = [
            {
                "job_name": pod,
                "metrics_path": f"/{pod}",
                "static_configs": [{"targets": [address], "labels": {"pod": pod, "job": job}}],
            }
            for pod, job in jobs.items()
        ]
        settings = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": "1s"}
        (directory / "prometheus.yml").write_text(
            yaml.safe_dump({"global": settings, "scrape_configs": scrapes, "rule_files": [str(rule) for rule in rules]})
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def __enter__(self) -> "Prometheus":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            wait_until(self._is_ready, what=self._log.read_text)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path: str, **parameters: Any) -> Any:
        """Returns ``data`` of an answer of the HTTP API."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def now(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Returns labels and value of each series, as of now."""
        found = self.ask("query", query=query, time=time.time())["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def over(self, query: str, start: float, end: float, step: float) -> dict[str, list[float]]:
        """Returns the values of each series between two Unix times."""
        found = self.ask("query_range", query=query, start=start, end=end, step=step)["result"]
        return {str(series["metric"]): [float(value) for _, value in series["values"]] for series in found}
