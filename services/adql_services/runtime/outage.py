"""Telling of another service that does not answer: once that it is waited for, once that it was found."""

from adql.errors import AdqlError, RateLimitedError
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger


class Outage:
    """What a client reports its retries and answers to; ``variable`` is where ``address`` was set."""

    def __init__(self, service: str, variable: str, address: str) -> None:
        self._service, self._variable, self._address = service, variable, address
        self._waiting = False
        for kind in ("transport", "rate_limited", "unavailable", "store_unavailable"):
            metrics.RETRIES.labels(kind)  # shows 0 before the first

    def retried(self, error: AdqlError) -> None:
        """Counts a request that is sent again; says so once, unless the service only asked for patience."""
        metrics.RETRIES.labels(error.kind).inc()
        if self._waiting or isinstance(error, RateLimitedError):
            return
        self._waiting = True
        way_out = f"start it there, or set {self._variable} to where it is"
        get_logger().warning(f"waiting for the {self._service}", address=self._address, error=str(error), hint=way_out)

    def answered(self) -> None:
        """Ends the wait, if there was one."""
        if self._waiting:
            self._waiting = False
            get_logger().info(f"found the {self._service}", address=self._address)
