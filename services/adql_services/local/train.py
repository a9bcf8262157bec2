"""``adql train``: a new run."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from adql.agent.networks import check_network
from adql.config import RunSpecification
from adql.parameters.size import state_bytes
from adql.wire.replay_format import check_table
from adql_services.local.addresses import remove_abandoned
from adql_services.local.keeper import check_free, named_store
from adql_services.local.memory import check_memory
from adql_services.local.run import LocalRun
from adql_services.local.run_directory import RunDirectory, new_path
from adql_services.local.stopping import StopRequest


def train(specification: RunSpecification, output: Path | None, arguments: Sequence[str]) -> int:
    """Trains in a new folder; ``specification`` has its signature. Returns 0: it ended, or was asked to."""
    check_network(specification.network, specification.signature)
    check_memory(specification)
    check_table(specification)
    named = named_store()
    address = check_free(named, specification.run.name, state_bytes(specification)) if named else None
    remove_abandoned()
    stop = StopRequest().listen()  # before there is a folder, so that no signal leaves it behind
    path = output or new_path(specification, datetime.now())
    directory = RunDirectory.create(path, specification, arguments)
    if address is not None:
        directory.note_store(address)
    return LocalRun(specification, directory, stop).run()
