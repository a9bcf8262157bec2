"""The FastAPI application that every service starts from: problems for answers, strict bodies, no pages for people."""

import importlib.metadata
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.exceptions import HTTPException

from adql.errors import MalformedBodyError
from adql.telemetry.logs import get_logger
from adql.wire import routes
from adql.wire.problems import problem_for_status
from adql_services.runtime.bulk import BulkDispatch
from adql_services.runtime.guard import Guard
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.tokens import Tokens

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


def application(title: str, *, tokens: Tokens | None) -> FastAPI:
    """Returns an application whose every refusal is a problem document and that asks for a token on every route.

    ``app.state.shutdown`` is its Shutdown, ``app.state.bulk`` has its bulk routes by path. It describes itself at
    routes.OPENAPI; there are never pages for people.
    """
    if tokens is None:
        get_logger().warning("authentication is off: whoever reaches this port may do everything", service_title=title)
    app = _Application(
        title=title,
        version=importlib.metadata.version("adql"),
        openapi_url=routes.OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.shutdown = Shutdown()
    app.state.bulk = {}
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(BulkDispatch, bulk=app.state.bulk)
    app.add_middleware(Guard, tokens=tokens)  # the last one stands outermost
    return app


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Returns the description of the framework's routes and of the bulk routes."""
        schema = super().openapi()
        schema["paths"] |= {route.path: route.describe() for route in self.state.bulk.values()}
        return schema


async def _on_invalid_request(request: Request, error: Exception) -> NoReturn:
    """Says where and what is wrong, and never repeats what was sent; the guard answers."""
    assert isinstance(error, RequestValidationError)
    complaints = [_complaint(e) for e in error.errors()[:_MAX_COMPLAINTS]]
    raise MalformedBodyError("; ".join(complaints)) from None


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    document = problem_for_status(error.status_code, error.detail)
    return JSONResponse(document, error.status_code, error.headers, media_type=routes.PROBLEM_JSON)


def _complaint(error: Any) -> str:
    location: Sequence[Any] = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    where = ".".join(str(part) for part in location if isinstance(part, int) or _PLAIN_NAME.fullmatch(str(part)))
    return f"{where}: {'not a valid value' if error['type'] in _TELLS_INPUT else error['msg']}"
