"""What every service shares: the guarded ASGI application, the side port, tokens, serving and stopping."""

from adql_services.runtime.app import StrictModel, WaitSeconds, application
from adql_services.runtime.bodies import BinaryResponse, read_body
from adql_services.runtime.parent import exit_with_parent
from adql_services.runtime.serving import serve
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health, SidePort
from adql_services.runtime.tokens import Tokens

__all__ = [
    "BinaryResponse",
    "Health",
    "Shutdown",
    "SidePort",
    "StrictModel",
    "Tokens",
    "WaitSeconds",
    "application",
    "exit_with_parent",
    "read_body",
    "serve",
]
