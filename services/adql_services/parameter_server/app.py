"""The routes: decode, ask the service, encode."""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import Field

from adql.config import MAX_EPISODES
from adql.episodes import EpisodeRecord
from adql.errors import MalformedBodyError, UnavailableError, WireVersionError
from adql.parameters.run_record import Episodes
from adql.types import Activity, Float32Array, Update, Version
from adql.wire import codec, routes
from adql.wire.learner_requests import read_update
from adql.wire.run_state import to_header
from adql_services.parameter_server.metrics_report import receiving
from adql_services.parameter_server.service import ParameterService
from adql_services.runtime.app import StrictModel, application
from adql_services.runtime.bodies import BinaryResponse, read_body
from adql_services.runtime.bulk import Wait, bulk_route
from adql_services.runtime.tokens import Tokens

BODY_SLACK_BYTES = 16 * 1024
"""Room for prefix and header beside the vector."""
MAX_LEARNER_STEPS = 1_000_000
"""Of one update."""
MAX_ETAG_LENGTH = 64
MAX_EPISODES_TOLD = 1_000
"""In one account; fewer fit if their numbers are long, since the whole body is bounded, too."""
SessionName = Annotated[str, Field(max_length=64)]
Steps = Annotated[int, Field(ge=0, lt=2**53)]


Column = TypeVar("Column")
EpisodeColumn = Annotated[list[Column], Field(max_length=MAX_EPISODES_TOLD)]


class Registration(StrictModel):
    """Who wants a session."""

    wire: int
    run: Annotated[str, Field(max_length=64)]
    config_hash: Annotated[str, Field(max_length=64)]
    role: Literal["both", "learner", "actor"]


class Progress(StrictModel):
    """A session's monotone counter."""

    environment_steps: Steps


class Told(StrictModel):
    """What a process did since it last told: its episodes column by column, and where its time went."""

    number: Steps
    """Of this session's accounts: 0, 1, 2 …"""
    unix_seconds: EpisodeColumn[Annotated[float, Field(ge=0.0)]]
    environment_steps: EpisodeColumn[Steps]
    returns: EpisodeColumn[float]
    lengths: EpisodeColumn[Steps]
    epsilons: EpisodeColumn[Annotated[float, Field(ge=0.0, le=1.0)]]
    successes: EpisodeColumn[bool | None]
    activity_seconds: dict[Activity, Annotated[float, Field(ge=0.0)]]

    def episodes(self, slot: int) -> list[EpisodeRecord]:
        """Returns them as lines of episodes.csv.

        Raises:
            MalformedBodyError: the columns are not equally long.
        """
        columns = (self.returns, self.lengths, self.epsilons, self.successes)
        try:
            rows = list(zip(self.unix_seconds, self.environment_steps, *columns, strict=True))
        except ValueError:
            raise MalformedBodyError("the columns of episodes are not equally long; send one entry each") from None
        return [EpisodeRecord(moment, slot, *rest) for moment, *rest in rows]


class Report(StrictModel):
    """The episodes of one evaluation, and of which version of which run they were."""

    run_id: Annotated[str, Field(max_length=64)]
    id: Annotated[int, Field(ge=1, lt=2**53)]
    epoch: Annotated[int, Field(ge=0, lt=2**53)]
    version: Annotated[int, Field(ge=0, lt=2**53)]
    returns: Annotated[list[float], Field(min_length=1, max_length=MAX_EPISODES)]
    lengths: Annotated[list[Steps], Field(min_length=1, max_length=MAX_EPISODES)]
    successes: Annotated[list[bool], Field(min_length=1, max_length=MAX_EPISODES)] | None = None
    seconds: Annotated[float, Field(ge=0.0)]


class Pull(msgspec.Struct, frozen=True):
    """What a pull waits for."""

    wait: Wait = 0.0
    status: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    """As the learner knows it; another one ends the wait."""


class Push(msgspec.Struct, frozen=True):
    """When a push is answered."""

    durable: bool = False


class Next(msgspec.Struct, frozen=True):
    """How long an evaluator waits for its next task."""

    wait: Wait = 0.0


def build(app_title: str, tokens: Tokens | None) -> FastAPI:
    """Returns the application; ``app.state.service`` has to be set before the first request."""
    app = application(app_title, tokens=tokens)
    app.state.service = None
    _add_sessions(app)
    _add_parameters(app)
    _add_evaluations(app)
    return app


def _service(request: Request) -> ParameterService:
    service = request.app.state.service
    if not isinstance(service, ParameterService):
        raise UnavailableError("the parameter server is starting", retry_after_ms=200)
    return service


def _headers(service: ParameterService) -> dict[str, str]:
    return {routes.STATE_HEADER: to_header(service.state)}


def _json(service: ParameterService, content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, _headers(service), routes.JSON)


def _add_sessions(app: FastAPI) -> None:
    @app.post(routes.SESSIONS, status_code=201)
    async def register(request: Request, body: Registration) -> Response:
        service = _service(request)
        if body.wire != codec.WIRE:
            raise WireVersionError(f"wire {body.wire} is not spoken here, only {codec.WIRE}", wire=codec.WIRE)
        session = await service.register(body.run, body.config_hash, body.role)
        answer = {"session": session.identifier, "slot": session.slot, "lease_seconds": service.lease_seconds}
        return _json(service, answer, 201)

    @app.get(routes.session("{session}"))
    async def session(request: Request, session: SessionName) -> Response:
        service = _service(request)
        found, durable_sequence = service.session(session)
        outcome = found.last_outcome.kind if found.last_outcome else None
        answer = {"session": session, "slot": found.slot, "role": found.role, "last_sequence": found.last_sequence}
        return _json(service, {**answer, "last_outcome": outcome, "durable_sequence": durable_sequence})

    @app.delete(routes.session("{session}"))
    async def close(request: Request, session: SessionName) -> Response:
        service = _service(request)
        service.close_session(session)
        return _json(service, {})

    @app.post(routes.progress("{session}"))
    async def progress(request: Request, session: SessionName, body: Progress) -> Response:
        service = _service(request)
        service.progress(session, body.environment_steps)
        return _json(service, {})

    @app.post(routes.account("{session}"))
    async def account(request: Request, session: SessionName, body: Told) -> Response:
        """An account whose number was told before changes nothing."""
        service = _service(request)
        found, _ = service.session(session)
        service.diary.take(found, body.number, body.episodes(found.slot), body.activity_seconds)
        return _json(service, {})


def _add_parameters(app: FastAPI) -> None:
    @bulk_route(app, "GET", routes.PARAMETERS, Pull)
    async def pull(request: Request, query: Pull) -> Response:
        """If-None-Match names the version at hand: 304 if it is the newest."""
        service = _service(request)
        parameters = await service.pull(_known_version(request), query.status, query.wait)
        if parameters is None:
            return Response(status_code=304, headers=_headers(service))
        return BinaryResponse(service.pull_body(parameters), {**_headers(service), "ETag": f'"{parameters.version}"'})

    @bulk_route(app, "POST", routes.UPDATES, Push)
    async def push(request: Request, query: Push) -> Response:
        with receiving():
            service = _service(request)
            message = await _message(request, service)
            update = _update(message, await service.unpacked(message))
            result = await service.push(update, message.text("run_id"), message.text("config_hash"))
        if query.durable:
            await service.until_durable(update.session, update.sequence)
        fields = {
            "outcome": result.outcome,
            "epoch": result.parameters.version.epoch,
            "version": result.parameters.version.number,
            "applied_epoch": result.applied.epoch,
            "applied_version": result.applied.number,
            "staleness": result.staleness,
        }
        body = codec.encode(fields, {"parameters": service.encoded(result.parameters)})
        return BinaryResponse(body, _headers(service))

    @app.get(routes.RUN)
    async def run(request: Request) -> Response:
        service = _service(request)
        state = msgspec.json.decode(to_header(service.state))
        return _json(service, {"state": state, **service.describe()})


def _add_evaluations(app: FastAPI) -> None:
    @bulk_route(app, "GET", routes.NEXT_EVALUATION, Next)
    async def next_evaluation(request: Request, query: Next) -> Response:
        service = _service(request)
        found = await service.next_evaluation(query.wait)
        if found is None:
            return Response(status_code=204, headers=_headers(service))
        task, vector = found
        fields = {
            "id": task.identifier,
            "purpose": task.purpose,
            "episodes": task.episodes,
            "seed": task.seed,
            "epoch": task.epoch,
            "version": task.number,
            "learner_steps": task.learner_steps,
            "environment_steps": task.environment_steps,
        }
        return BinaryResponse(codec.encode(fields, {"parameters": vector}), _headers(service))

    @app.post(routes.EVALUATIONS)
    async def report(request: Request, body: Report) -> Response:
        """Answers whether it was taken: not if the run does not wait for this evaluation of this version."""
        service = _service(request)
        successes = None if body.successes is None else tuple(body.successes)
        episodes = Episodes(tuple(body.returns), tuple(body.lengths), successes, body.seconds)
        taken = await service.report(body.run_id, body.id, Version(body.epoch, body.version), episodes)
        return _json(service, {"taken": taken})

    @app.get(routes.EVALUATIONS)
    async def evaluations(request: Request) -> Response:
        service = _service(request)
        return _json(service, list(service.results()))


async def _message(request: Request, service: ParameterService) -> codec.Message:
    body = await read_body(request, limit=4 * service.size + BODY_SLACK_BYTES)
    return read_update(body, service.size, service.encoding)


def _known_version(request: Request) -> str | None:
    etag = request.headers.get("if-none-match")
    if etag and len(etag) > MAX_ETAG_LENGTH:
        raise MalformedBodyError(f"If-None-Match has more than {MAX_ETAG_LENGTH} characters")
    return etag.strip('"') if etag else None


def _update(message: codec.Message, vector: Float32Array) -> Update:
    return Update(
        session=message.text("session", 64),
        sequence=message.integer("sequence"),
        based_on=Version(message.integer("epoch"), message.integer("version")),
        vector=vector,
        learner_steps=message.integer("learner_steps", 1, MAX_LEARNER_STEPS),
        environment_steps=message.integer("environment_steps", 0, 2**53 - 1),
    )
