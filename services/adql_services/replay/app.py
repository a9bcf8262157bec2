"""The routes of the replay service: decode, one call of the table, encode."""

from typing import Annotated

import msgspec
import numpy as np
from fastapi import FastAPI, Request, Response
from pydantic import Field

from adql.config import RunSpecification
from adql.config.specification import MAX_BATCHES_PER_REQUEST
from adql.replay import InsertResult, PriorityResult, TableStatistics
from adql.wire import codec, replay_format, routes
from adql_services.replay.service import ReplayService
from adql_services.runtime.app import StrictModel, application
from adql_services.runtime.bodies import BinaryResponse, read_body
from adql_services.runtime.bulk import NoQuery, Wait, bulk_route, json_answer
from adql_services.runtime.tokens import Tokens

MAX_CHUNKS_AN_INSERT = 16
"""An insert may be this many times replay.chunk_transitions, or as long as one learner's step can make a chunk."""
HEADER_BYTES = 64 * 1024
"""Room for a body's prefix, header and padding."""

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Insert(msgspec.Struct, frozen=True):
    """How long an insert waits for its turn."""

    wait: Wait = 0.0


class Sample(msgspec.Struct, frozen=True):
    """What is sampled, for whom, and how long that waits for its turn."""

    batches: Count
    batch_size: Count
    session: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    config_hash: Annotated[str, msgspec.Meta(max_length=128)]
    wait: Wait = 0.0


class Return(StrictModel):
    """Unused batches, by number."""

    incarnation: Annotated[int, Field(ge=0)]
    batches: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MAX_BATCHES_PER_REQUEST)]


class Returned(StrictModel):
    """How many of the batches were known and had not been given back before."""

    returned: int


class Written(StrictModel):
    """Bytes of the snapshot."""

    bytes: int


def make_app(service: ReplayService, specification: RunSpecification, tokens: Tokens | None) -> FastAPI:
    """Returns the application over ``service``; ``specification`` has its signature and bounds the bodies."""
    app = application("ADQL replay", tokens=tokens)
    limits = _Limits(specification)
    _add_inserting(app, service, limits)
    _add_sampling(app, service, limits)
    _add_operating(app, service)
    return app


class _Limits:
    """What bodies must look like and how many bytes they may have."""

    def __init__(self, specification: RunSpecification) -> None:
        signature, replay = specification.signature, specification.replay
        self.insert_arrays = replay_format.insert_arrays(signature)
        request = specification.algorithm.batch_size * replay.batches_per_request
        closed_at_once = specification.environment.copies * specification.algorithm.n_steps
        rows = max(MAX_CHUNKS_AN_INSERT * replay.chunk_transitions, replay.chunk_transitions + closed_at_once)
        self.insert_bytes = rows * (replay_format.largest_row_bytes(signature) + 4) + HEADER_BYTES
        self.priority_bytes = 4 * request * 12 + HEADER_BYTES


def _add_inserting(app: FastAPI, service: ReplayService, limits: _Limits) -> None:
    @bulk_route(app, "POST", routes.INSERT, Insert, answer=InsertResult)
    async def insert(request: Request, query: Insert) -> Response:
        body = await read_body(request, limit=limits.insert_bytes)
        message = codec.decode(body, limits.insert_arrays, optional=replay_format.OPTIONAL_INSERT_ARRAYS)
        service.check_configuration(message.text("config_hash"))
        columns = {name: array for name, array in message.arrays.items() if name != "td_error"}
        session, chunk = message.text("session", 128), message.integer("chunk")
        result = await service.insert(session, chunk, columns, message.arrays.get("td_error"), query.wait)
        return json_answer(result)

    @bulk_route(app, "POST", routes.PRIORITIES, NoQuery, answer=PriorityResult)
    async def priorities(request: Request, query: NoQuery) -> Response:
        body = await read_body(request, limit=limits.priority_bytes)
        message = codec.decode(body, replay_format.PRIORITY_ARRAYS)
        item_ids, td_errors = message.arrays["item_ids"], message.arrays["td_errors"]
        return json_answer(service.update_priorities(message.integer("incarnation"), item_ids, td_errors))


def _add_sampling(app: FastAPI, service: ReplayService, limits: _Limits) -> None:
    @bulk_route(app, "POST", routes.SAMPLE, Sample, body=False)
    async def sample(request: Request, query: Sample) -> Response:
        service.check_configuration(query.config_hash)
        result = await service.sample(query.session, query.batches, query.batch_size, query.wait)
        fields: dict[str, codec.Field] = {
            "batches": query.batches,
            "batch_size": query.batch_size,
            "first_batch": result.first_batch,
            "incarnation": result.incarnation,
            "size": result.size,
        }
        drawn = {"item_ids": result.item_ids.astype(np.uint64), "probabilities": result.probabilities}
        return BinaryResponse(codec.encode(fields, result.columns | drawn))

    @app.post(routes.RETURN)
    async def give_back(request: Return) -> Returned:
        return Returned(returned=await service.give_back(request.incarnation, request.batches))


def _add_operating(app: FastAPI, service: ReplayService) -> None:
    @app.post(routes.SNAPSHOT)
    async def snapshot() -> Written:
        return Written(bytes=await service.snapshot())

    @app.get(routes.TABLE)
    async def table() -> TableStatistics:
        return service.statistics()
