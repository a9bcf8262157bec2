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


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"<html>", {"retry-after": "3"}, 3_000),
        (b"<html>", {"retry-after": "86400"}, 60_000),
        (b"<html>", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (b'{"retry_after_ms": 700}', {"retry-after": "1"}, 700),
        (b'{"retry_after_ms": 700}', {"retry-after": "1", "retry-after-ms": "650"}, 650),
        (b'{"retry_after_ms": 86400000}', {}, 60_000),
        (b'{"retry_after_ms": -1}', {}, 0),
        (b'{"retry_after_ms": "soon"}', {"retry-after": "2"}, 2_000),
    ],
)
def test_patience_is_read_from_adqls_words_before_a_proxys_and_within_bounds(body, headers, expected):
    assert error_from(503, body, headers).details.get("retry_after_ms") == expected


@pytest.mark.parametrize("member", ["message", "self", "status", "title", "detail", "type", "args", "details", "kind"])
def test_no_member_of_a_foreign_document_clashes_with_the_error(member):
    error = error_from(503, json.dumps({member: "no upstream", "code": 7}).encode(), {})
    assert type(error) is errors.UnavailableError and error.details["code"] == 7


def test_details_do_not_hide_the_standard_members():
    status, document = problem(errors.ConflictError("why", status=1, title="t", type="u", detail="d", message="m"))
    assert (status, document["status"], document["title"]) == (409, 409, "Conflict")
    assert (document["type"], document["detail"], document["message"]) == ("urn:adql:conflict", "why", "m")


def test_refusals_from_below_have_the_same_form():
    assert problem_for_status(404, "no such resource")["type"] == "urn:adql:not_found"
    assert problem_for_status(405, "no")["type"] == "urn:adql:method_not_allowed"
