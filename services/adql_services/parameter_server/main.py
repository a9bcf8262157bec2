"""Starts the parameter server."""

import asyncio

from adql.config import ParameterServerSettings, RunSpecification
from adql.telemetry import logs, metrics
from adql_services.parameter_server.app import build
from adql_services.parameter_server.opening import open_run
from adql_services.parameter_server.service import ParameterService
from adql_services.runtime.serving import serve
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health
from adql_services.runtime.tokens import Tokens


def run(specification: RunSpecification, settings: ParameterServerSettings) -> int:
    """Serves one run until it is told to stop or may not go on; ``specification`` has its signature.

    Returns:
        0 after SIGTERM or SIGINT; 1 when the run cannot go on here, such as fenced by a newer server; 2 when somebody
        has to change something: bad input, a store that would lose updates or one that has lost them.
    """
    logs.configure(settings.log_format, "parameter-server")
    app = build("ADQL parameter server", Tokens.of(settings))
    health = Health()
    shutdown: Shutdown = app.state.shutdown

    async def started() -> None:
        opened = await asyncio.to_thread(open_run, specification, settings, shutdown.begun.is_set)
        app.state.service = ParameterService(specification, opened, health, shutdown)
        app.state.service.start()

    async def stopping() -> None:
        await app.state.service.finish()

    return serve(app, settings, health=health, page=metrics.PARAMETER_SERVER_PAGE, started=started, stopping=stopping)
