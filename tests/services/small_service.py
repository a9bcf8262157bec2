"""A small service made with the runtime, run as a process of its own: ``small_service.py LISTEN SIDE DIRECTORY``."""

import asyncio
import contextlib
import gc
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from fastapi import Request, Response

from adql.config import ServerSettings
from adql.errors import FencedError, InputError, StaleUpdateError
from adql.telemetry import logs
from adql.types import ArraySpec
from adql.wire import routes
from adql.wire.codec import ANY, decode, encode
from adql_services.runtime.app import StrictModel, application
from adql_services.runtime.bodies import BinaryResponse, read_body
from adql_services.runtime.bulk import NoQuery, Wait, bulk_route, json_answer
from adql_services.runtime.deadline import END_SECONDS
from adql_services.runtime.serving import serve
from adql_services.runtime.side_port import Health
from adql_services.runtime.tokens import Tokens

LIMIT = 8 * 2**20
SPECS = [ArraySpec("parameters", (ANY,))]


class Body(StrictModel):
    """Something strict."""

    x: float
    n: int = 0
    names: list[str] | None = None


class Pull(msgspec.Struct, frozen=True):
    """A long poll."""

    wait: Wait = 0.0


class Sum(msgspec.Struct, frozen=True):
    """What a push added up to."""

    sum: int


def service(settings: ServerSettings, size: int = 1000) -> Any:
    """Returns the application with its routes."""
    app = application("small", tokens=Tokens.of(settings))
    buffers = encode({"version": 1}, {"parameters": np.ones(size, np.float32)})
    add_bulk_routes(app, buffers)
    add_small_routes(app)
    return app


def add_bulk_routes(app: Any, buffers: Any) -> None:
    """Pull and push."""

    @bulk_route(app, "GET", routes.PARAMETERS, Pull)
    async def pull(request: Request, query: Pull) -> Response:
        if request.headers.get("if-none-match") != '"1"':
            return BinaryResponse(buffers)
        if query.wait:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(query.wait):
                    await app.state.shutdown.begun.wait()
        return Response(status_code=304)

    @bulk_route(app, "POST", routes.UPDATES, NoQuery, answer=Sum)
    async def push(request: Request, query: NoQuery) -> Response:
        message = decode(await read_body(request, limit=LIMIT), SPECS)
        return json_answer(Sum(int(message.arrays["parameters"].sum())))


def add_small_routes(app: Any) -> None:
    """JSON, and what goes wrong."""

    @app.post("/v1/json")
    async def take(body: Body) -> dict[str, float]:
        return {"x": body.x}

    @app.get("/v1/stale")
    async def stale() -> None:
        raise StaleUpdateError("based on version 12, current 40, at most 16 behind; pull", last_sequence=7)

    @app.get("/v1/bug")
    async def bug() -> None:
        raise ZeroDivisionError("the secret inside")

    @app.get("/v1/fence")
    async def fence() -> dict[str, str]:
        app.state.shutdown.begin(FencedError("a newer epoch owns the store"))
        return {"status": "ending"}

    @app.get("/v1/slow")
    async def slow() -> dict[str, str]:
        await asyncio.sleep(0.7)
        return {"status": "done"}

    @app.get("/v1/garbage")
    async def garbage() -> dict[str, int]:
        gc.disable()  # from the first question on, so that the next one finds everything
        return {"objects": gc.collect()}

    @app.get("/v1/stuck")
    async def stuck() -> None:
        await asyncio.sleep(3600)


async def refuse_to_start() -> None:
    """A start that a person has to mend."""
    raise InputError("the volume knows this run; run adql restore")


async def hang() -> None:
    """A start that takes for ever."""
    await asyncio.sleep(3600)


async def block() -> None:
    """An end that hangs in the kernel."""
    await asyncio.to_thread(time.sleep, 3600)


def main(listen: str, side: str, directory: str, start: str = "") -> int:
    """Runs the service until it is told to stop; leaves a file behind when ``stopping`` ran."""
    token = Path(directory) / "token"
    logs.configure("text", "small")
    settings = ServerSettings(
        listen=listen,
        side=side,
        directory=Path(directory),
        auth=token.exists(),
        token_file=token if token.exists() else None,
    )

    async def stopping() -> None:
        (Path(directory) / "stopped").touch()

    started = {"refuse": refuse_to_start, "hang": hang}.get(start, lambda: asyncio.sleep(0))
    ended = {"hang-at-end": (hang, 1.0), "block-at-end": (block, 1.0)}.get(start, (stopping, END_SECONDS))
    app, health = service(settings, 1_750_000), Health()
    return serve(app, settings, health=health, started=started, stopping=ended[0], end_seconds=ended[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
