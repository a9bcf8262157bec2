import json

import pytest

from adql import errors
from adql.wire.problems import error_from, problem, problem_for_status, problem_headers


def all_errors(root: type[errors.AdqlError]) -> list[type[errors.AdqlError]]:
    return [root, *(error for child in root.__subclasses__() for error in all_errors(child))]


def as_sent(error: errors.AdqlError) -> tuple[int, bytes, dict[str, str]]:
    status, document = problem(error)
    return status, json.dumps(document).encode(), {k.lower(): v for k, v in problem_headers(error).items()}


@pytest.mark.parametrize("kind", all_errors(errors.AdqlError), ids=lambda kind: kind.__name__)
def test_every_error_comes_back_as_itself(kind):
    received = error_from(*as_sent(kind("12 > 8; pull and recompute", last_sequence=7)))
    assert type(received) is kind
    assert str(received) == "12 > 8; pull and recompute" and received.details["last_sequence"] == 7


def test_no_two_errors_share_a_kind():
    kinds = [error.kind for error in all_errors(errors.AdqlError)]
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize(("status", "kind"), [(409, errors.ConflictError), (503, errors.UnavailableError)])
def test_an_unknown_kind_becomes_the_nearest_by_status(status, kind):
    error = error_from(status, b'{"type": "urn:adql:from-a-later-release", "detail": "hm"}', {})
    assert type(error) is kind and str(error) == "hm"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"type": [], "detail": {}}', b"\xff", b"[" * 60_000])
def test_an_answer_without_a_problem_document_is_still_an_error(body):
    assert isinstance(error_from(502, body, {}), errors.UnavailableError)
    assert isinstance(error_from(418, body, {}), errors.WireError)


def test_a_kind_under_another_status_is_not_believed():
    assert type(error_from(404, b'{"type": "urn:adql:stale"}', {})) is errors.NotFoundError


def test_patience_is_asked_for_in_both_headers():
    headers = problem_headers(errors.RateLimitedError("too fast", retry_after_ms=1200))
    assert headers == {"Retry-After": "2", "Retry-After-Ms": "1200"}
    assert problem_headers(errors.UnavailableError("down"))["Retry-After-Ms"] == "250"


@pytest.mark.parametrize(
    ("header", "expected"), [("40", 40), ("9e99", 60_000), ("-3", 0), ("soon", None), ("nan", None)]
)
def test_retry_after_ms_is_read_within_bounds(header, expected):
    error = error_from(429, b"{}", {"retry-after-ms": header})
    assert error.details.get("retry_after_ms") == expected


def test_refusals_from_below_have_the_same_form():
    assert problem_for_status(404, "no such resource")["type"] == "urn:adql:not_found"
    assert problem_for_status(405, "no")["type"] == "urn:adql:method_not_allowed"
