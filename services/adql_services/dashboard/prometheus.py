"""What a Prometheus answers to queries, by its HTTP API."""

import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from adql.errors import InputError

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one series: Unix seconds and values, all of them finite."""

    labels: dict[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, and how far its points are apart; Unix seconds."""

    start: float
    end: float
    step: float

    @property
    def last(self) -> float:
        """The last point: they begin at the start."""
        return self.start + (self.end - self.start) // self.step * self.step


class Prometheus:
    """The server at ``url``.

    Every method raises InputError when nobody is there, or when it is no Prometheus.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"--prometheus {url}: an address begins with http:// or https://")

    def samples(self, selector: str) -> list[Series]:
        """Returns what was scraped, sample by sample, of a selector with a range."""
        return self._series("query", query=selector)

    def over(self, query: str, span: Span) -> list[Series]:
        """Returns the points of ``query`` in ``span``."""
        return self._series("query_range", query=query, start=span.start, end=span.end, step=span.step)

    def _series(self, path: str, **parameters: str | float) -> list[Series]:
        found = self._ask(path, urllib.parse.urlencode(parameters).encode())
        try:
            return [_series(labels["metric"], labels["values"]) for labels in found["data"]["result"]]
        except (KeyError, TypeError, ValueError):
            raise self._foreign("its answer has another form") from None

    def _ask(self, path: str, body: bytes) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body, TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise self._foreign(_reason(error)) from None
        except json.JSONDecodeError:
            raise self._foreign("its answer is no JSON") from None
        except (OSError, ValueError, http.client.InvalidURL) as error:
            reason = getattr(error, "reason", error)
            raise InputError(
                f"no answer from --prometheus {self.url}: {reason}; start it there, forward its port, or name another"
            ) from None
        except http.client.HTTPException as error:
            raise self._foreign(f"its answer is no HTTP, or not whole ({type(error).__name__})") from None

    def _foreign(self, reason: str) -> InputError:
        return InputError(f"--prometheus {self.url} does not answer as a Prometheus does: {reason}; name its address")


def _series(labels: dict[str, str], values: list[tuple[float, str]]) -> Series:
    points = [(float(time), float(value)) for time, value in values]
    finite = [point for point in points if math.isfinite(point[1])]
    return Series(labels, tuple(time for time, _ in finite), tuple(value for _, value in finite))


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return f"status {error.code}"
