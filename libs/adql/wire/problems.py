"""Errors as ``application/problem+json`` (RFC 9457) and back, by their stable kind."""

import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from adql.errors import (
    AdqlError,
    BodyTooLargeError,
    ConflictError,
    LengthRequiredError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    WireError,
    WireVersionError,
    WrongRunError,
)
from adql.wire.codec import Buffer

PREFIX = "urn:adql:"
DEFAULT_RETRY_AFTER_MS = 250
"""Named where an error that asks for patience does not say how much."""
MAX_RETRY_AFTER_MS = 60_000
_MAX_DETAIL_LENGTH = 2_000
_STANDARD_MEMBERS = ("type", "title", "status", "detail")
_PATIENCE = "retry_after_ms"

Problem = dict[str, int | float | str | None]


def problem(error: AdqlError) -> tuple[int, Problem]:
    """Returns the HTTP status and the JSON object that tell a client about ``error``."""
    own = {name: value for name, value in error.details.items() if name not in _STANDARD_MEMBERS}
    return error.status, {
        "type": PREFIX + error.kind,
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": str(error),
        **own,
    }


def problem_for_status(status: int, detail: str) -> Problem:
    """Returns the problem document of a refusal that comes from below ADQL, such as 404, 405 or 431."""
    phrase = HTTPStatus(status).phrase
    kind = _BY_STATUS[status].kind if status in _BY_STATUS else phrase.lower().replace(" ", "_")
    return {"type": PREFIX + kind, "title": phrase, "status": status, "detail": detail}


def problem_headers(error: AdqlError) -> dict[str, str]:
    """Returns what has to stand beside the problem: when to come again, or how to authenticate."""
    if error.status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if error.status not in (429, 503):
        return {}
    milliseconds = _milliseconds(error.details.get(_PATIENCE)) or DEFAULT_RETRY_AFTER_MS
    return {"Retry-After": str(math.ceil(milliseconds / 1_000)), "Retry-After-Ms": str(milliseconds)}


def error_from(status: int, body: Buffer, headers: Mapping[str, str]) -> AdqlError:
    """Returns the error that an answer of ``status`` >= 400 tells of; of an unknown kind, the nearest by status.

    ``headers`` are lower-case. ``details`` keeps the problem's own members, ``retry_after_ms`` also from the headers.
    """
    members = _members(body)
    kind = str(members.get("type", "")).removeprefix(PREFIX)
    details = {name: value for name, value in members.items() if name not in (*_STANDARD_MEMBERS, _PATIENCE)}
    if (milliseconds := _asked_milliseconds(members, headers)) is not None:
        details[_PATIENCE] = milliseconds
    message = str(members.get("detail") or f"the other side answered {status} without a problem document")
    return _class_of(kind, status)(message[:_MAX_DETAIL_LENGTH], **details)


def _members(body: Buffer) -> Problem:
    """Returns the scalar members of a JSON object; nothing of anything else."""
    try:
        tree: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(tree, dict):
        return {}
    return {name: value for name, value in tree.items() if value is None or isinstance(value, int | float | str)}


def _asked_milliseconds(members: Problem, headers: Mapping[str, str]) -> int | None:
    """Returns the wait that the answer asks for: ADQL's own milliseconds before the seconds that any proxy may send."""
    own = (_milliseconds(value) for value in (headers.get("retry-after-ms"), members.get(_PATIENCE)))
    standard = _milliseconds(headers.get("retry-after"), unit=1_000)
    return next((milliseconds for milliseconds in own if milliseconds is not None), standard)


def _milliseconds(value: object, unit: int = 1) -> int | None:
    try:
        return min(max(0, int(float(str(value)) * unit)), MAX_RETRY_AFTER_MS)
    except (ValueError, OverflowError):
        return None


def _all_kinds(root: type[AdqlError]) -> Iterator[type[AdqlError]]:
    yield root
    for child in root.__subclasses__():
        yield from _all_kinds(child)


def _class_of(kind: str, status: int) -> type[AdqlError]:
    known = {error.kind: error for error in _all_kinds(AdqlError)}
    if kind in known and known[kind].status == status:
        return known[kind]
    return _BY_STATUS.get(status, WireError if status < 500 else AdqlError)


_BY_STATUS: dict[int, type[AdqlError]] = {
    401: UnauthorizedError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    411: LengthRequiredError,
    412: WrongRunError,
    413: BodyTooLargeError,
    415: UnsupportedMediaTypeError,
    422: MalformedBodyError,
    426: WireVersionError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
