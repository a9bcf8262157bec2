"""One settings record per service: addresses, files and secrets; none of them changes what is learned."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from adql.config.section import NonNegativeFloat, PositiveFloat, PositiveInt, Section


def _checked_address(address: str) -> str:
    if not re.fullmatch(r"unix:/[^\0]+|http://[^/]+:\d+", address) or not _is_possible(address):
        raise PydanticCustomError("address", "must be http://HOST:PORT with a PORT up to 65535, or unix:/PATH")
    return address


def _is_possible(address: str) -> bool:
    try:
        parts = urlsplit(address)
        (parts.hostname or "").encode("idna")
        return address.startswith("unix:") or parts.port is not None
    except ValueError:  # a port beyond 65535, a bracket that is not closed, a label that is empty or too long
        return False


Address = Annotated[str, AfterValidator(_checked_address)]
"""``unix:/path/to.sock`` or ``http://host:port``."""


class ServiceSettings(Section):
    """What every service has."""

    token_file: Path | None = None
    """Holds one bearer token a line, all valid; clients send the first, and the next where one is refused."""
    auth: bool = True
    """Ask for a token on every route but those of the side port."""
    log_format: Literal["json", "text"] = "text"
    """Of the log on stderr: text for people, or json, one object a line, for programs."""


class ServerSettings(ServiceSettings):
    """What every service that is asked something has."""

    listen: Address
    """Where it is asked: http://HOST:PORT, or unix:/PATH for a socket."""
    side: Address
    """Where /livez, /readyz and /metrics are."""
    directory: Path
    """The service's own volume."""


class ParameterServerSettings(ServerSettings):
    """``adql parameter-server``."""

    listen: Address = "http://127.0.0.1:8420"
    side: Address = "http://127.0.0.1:8421"
    directory: Path = Path("adql-parameter-server")
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Any Redis from 6.2 or Valkey; ``unix:///path/to.sock`` for a socket."""
    redis_password_file: Path | None = None
    """Holds the password of that store, so that the address need not."""
    store_wait_seconds: PositiveFloat = 60.0
    """How long a server that starts waits for that store to answer."""


class ReplayServerSettings(ServerSettings):
    """``adql replay``."""

    listen: Address = "http://127.0.0.1:8430"
    side: Address = "http://127.0.0.1:8431"
    directory: Path = Path("adql-replay")


class LearnerSettings(ServiceSettings):
    """``adql learner``."""

    role: Literal["both", "learner", "actor"] = "both"
    """Act and learn (both), learn alone (learner), or act alone (actor)."""
    side: Address = "http://127.0.0.1:8441"
    """Where /livez, /readyz and /metrics are."""
    parameter_server_url: Address = "http://127.0.0.1:8420"
    """Where the parameter server listens."""
    replay_url: Address = "http://127.0.0.1:8430"
    """Where the replay service listens."""
    compression: Literal["none", "zstd"] = "none"
    """Of updates on their way to the parameter server; zstd pays for gradients on links of up to 1 Gbit/s."""


class EvaluatorSettings(ServiceSettings):
    """``adql evaluator``."""

    side: Address = "http://127.0.0.1:8451"
    """Where /livez, /readyz and /metrics are."""
    parameter_server_url: Address = "http://127.0.0.1:8420"
    """Where the parameter server listens."""


class ControllerSettings(ServiceSettings):
    """``adql controller``."""

    side: Address = "http://127.0.0.1:8461"
    """Where /livez, /readyz and /metrics are."""
    parameter_server_url: Address = "http://127.0.0.1:8420"
    """Where the parameter server listens."""
    replay_url: Address = "http://127.0.0.1:8430"
    """Where the replay service listens."""
    namespace: str | None = None
    """Of the Deployment; the pod's own, or that of the kubeconfig's context, by default."""
    deployment: str = "adql-learner"
    """Whose pods are the learners."""
    role: Literal["both", "learner", "actor"] = "both"
    """Of those learners."""
    min_replicas: PositiveInt = 1
    """Fewest learners while there is something to learn."""
    max_replicas: Annotated[PositiveInt, Field(validate_default=True)] = 8
    """Most learners."""
    interval_seconds: PositiveFloat = 10.0
    """From one look to the next."""
    window_seconds: PositiveFloat = 60.0
    """How long is measured what a number of learners brings."""
    cool_down_seconds: NonNegativeFloat = 60.0
    """At least this long from one change of the number to the next."""
    start_seconds: PositiveFloat = 300.0
    """Learners that were asked for and have not come by then have no room."""
    retry_seconds: PositiveFloat = 1800.0
    """A number that did not pay is tried again after this long."""
    scale_to_zero_when_done: bool = False
    """No learners once the run is over, and those from before again when it goes on."""

    @field_validator("max_replicas")
    @classmethod
    def _not_below_the_fewest(cls, value: int, info: ValidationInfo) -> int:
        if value < (fewest := info.data.get("min_replicas", 1)):
            raise PydanticCustomError(
                "bounds", "must be at least ADQL_MIN_REPLICAS={fewest}; raise it or lower that", {"fewest": fewest}
            )
        return value


class SelfTestSettings(ServiceSettings):
    """``adql selftest``."""

    parameter_server_url: Address = "http://127.0.0.1:8420"
    """Where the parameter server listens."""
    replay_url: Address = "http://127.0.0.1:8430"
    """Where the replay service listens."""
