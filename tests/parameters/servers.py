"""Small parameter servers with a clock that only tests move."""

import itertools
from typing import Any

import numpy as np

from adql.config import RunSpecification, specification_from
from adql.parameters.server import ParameterServer
from adql.parameters.state import Mark
from adql.types import Update, Version
from tests.clocks import Clock

SIZE = 4


def tiny_specification(**sections: Any) -> RunSpecification:
    """Returns a run over a table of four numbers; ``sections`` replace whole sections."""
    signature = {"observations": 2, "observation_dtype": "int64", "actions": 2, "reward_threshold": 10.0}
    tree = {
        "environment": {"id": "Tiny-v0", "signature": signature},
        "network": {"kind": "tabular"},
        "update": {"rule": "delta", "outer_learning_rate": 1.0},
        "evaluation": {"every_learner_steps": 10, "duty": 1.0, "episodes": 2, "confirm_episodes": 5},
    }
    return specification_from({**tree, **sections})


def new_server(specification: RunSpecification | None = None, clock: Clock | None = None) -> ParameterServer:
    """Returns a server of a new run that nothing was committed of."""
    names = (f"session-{i}" for i in itertools.count())
    return ParameterServer(
        specification or tiny_specification(),
        np.zeros(SIZE, np.float32),
        run_id="run-1",
        clock=clock or Clock(),
        wall_clock=lambda: 1_700_000_000.0,
        new_identifier=lambda: next(names),
    )


def owning_server(specification: RunSpecification | None = None, clock: Clock | None = None) -> ParameterServer:
    """Returns a server that owns epoch 1 and takes updates."""
    server = new_server(specification, clock)
    commit(server, epoch=1)
    server.available = True
    return server


def commit(server: ParameterServer, epoch: int | None = None):
    """Commits the server's state as if the store had confirmed it; returns what was committed."""
    mark = Mark(epoch or server.version.epoch, server.version.number, server.changes, "owner")
    state = server.snapshot(mark)
    server.committed(state)
    return state


def restarted(state, specification: RunSpecification | None = None, clock: Clock | None = None) -> ParameterServer:
    """Returns the server that goes on from ``state`` under the next epoch."""
    server = new_server(specification, clock)
    server.load(state)
    commit(server, epoch=state.mark.epoch + 1)
    server.available = True
    return server


def update(server: ParameterServer, session: str, sequence: int, **changes: Any) -> Update:
    """Returns an update that adds 1 to the first number, based on the newest version."""
    fields: dict[str, Any] = {
        "based_on": server.version,
        "vector": np.array([1, 0, 0, 0], np.float32),
        "learner_steps": 2,
        "environment_steps": 0,
    }
    return Update(session=session, sequence=sequence, **(fields | changes))


def push_many(server: ParameterServer, session: str, count: int) -> Version:
    """Pushes the session's next ``count`` updates; returns the newest version."""
    first = server.sessions.find(session).last_sequence + 1
    for sequence in range(first, first + count):
        server.push(update(server, session, sequence))
    return server.version
