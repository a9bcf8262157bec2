"""The FastAPI application that every service starts from: problems for answers, strict bodies, no pages for people."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.exceptions import HTTPException

from adql.errors import AdqlError, MalformedBodyError
from adql.telemetry.logs import get_logger
from adql.wire import routes
from adql.wire.problems import problem, problem_for_status, problem_headers
from adql_services.runtime.guard import Guard
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.tokens import Tokens

WaitSeconds = Annotated[float, Query(ge=0.0, le=routes.MAX_WAIT_SECONDS, allow_inf_nan=False)]
"""The query parameter of a long poll."""

_MAX_COMPLAINTS = 8
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TELLS_INPUT = ("value_error", "assertion_error")


class StrictModel(BaseModel):
    """Base of every JSON body: closed, frozen, no coercion, no NaN and no infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _is_unicode(cls, data: Any) -> Any:
        """JSON escapes can smuggle in lone surrogates, which no answer could ever carry back."""
        try:
            json.dumps(data, ensure_ascii=False, default=str).encode()
        except (UnicodeEncodeError, RecursionError):
            raise ValueError("text that is not Unicode") from None
        return data


def application(title: str, *, tokens: Tokens | None, version: str = "0.1.0") -> FastAPI:
    """Returns an application whose every refusal is a problem document and that asks for a token on every route.

    ``app.state.shutdown`` is its Shutdown. It describes itself at routes.OPENAPI; there are never pages for people.
    """
    if tokens is None:
        get_logger().warning("authentication is off: whoever reaches this port may do everything", service_title=title)
    app = FastAPI(
        title=title,
        version=version,
        openapi_url=routes.OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.shutdown = Shutdown()
    app.add_exception_handler(AdqlError, _on_adql_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(Guard, tokens=tokens)
    return app


async def _on_adql_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AdqlError)
    if error.status == 500:
        get_logger().error("request failed", path=request.url.path, error=str(error), kind=error.kind)
    status, document = problem(error)
    return JSONResponse(document, status, problem_headers(error), media_type=routes.PROBLEM_JSON)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Says where and what is wrong, and never repeats what was sent."""
    assert isinstance(error, RequestValidationError)
    complaints = [_complaint(e) for e in error.errors()[:_MAX_COMPLAINTS]]
    return await _on_adql_error(request, MalformedBodyError("; ".join(complaints)))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    document = problem_for_status(error.status_code, error.detail)
    return JSONResponse(document, error.status_code, error.headers, media_type=routes.PROBLEM_JSON)


def _complaint(error: Any) -> str:
    location: Sequence[Any] = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    where = ".".join(str(part) for part in location if isinstance(part, int) or _PLAIN_NAME.fullmatch(str(part)))
    return f"{where}: {'not a valid value' if error['type'] in _TELLS_INPUT else error['msg']}"
