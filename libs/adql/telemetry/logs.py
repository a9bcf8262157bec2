"""Structured logs: one line an event to stderr, as JSON for machines or as text for people."""

import logging
import sys
from typing import Any, Literal

import structlog

_SECRET_KEYS = frozenset({"authorization", "token", "password", "secret", "redis_url"})


def configure(format: Literal["json", "text"], service: str) -> None:
    """Sends every log line of this process, also those of libraries, to stderr with the service's name in it."""
    shared: list[structlog.typing.Processor] = [
        lambda logger, method, event: {**event, "service": service},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _safe,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(format, shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # A line for each malformed request would let strangers fill the log; they are counted instead.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def get_logger() -> Any:
    """Returns the logger: ``get_logger().info("event", key=value)``."""
    return structlog.get_logger("adql")


def _formatter(format: str, shared: list[structlog.typing.Processor]) -> logging.Formatter:
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if format == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


def _safe(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Hides secrets, and escapes control characters so that no value can forge a second line."""
    return {key: "***" if key in _SECRET_KEYS else _one_line(value) for key, value in event.items()}


def _one_line(value: Any) -> Any:
    if isinstance(value, str) and not value.isprintable():
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return value
