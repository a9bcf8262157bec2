"""The one error tree of ADQL.

    AdqlError
    ├── InputError                    what a person typed is wrong: exit code 2, HTTP 422
    │   ├── ConfigError                 a key of the run specification
    │   ├── EnvironmentUnusableError    an environment that cannot be used
    │   │   └── EnvironmentMissingError     its package is not installed here
    │   ├── CheckpointError             a stored file that is corrupt
    │   │   └── ForeignCheckpointError    whole, but of another run, configuration or release
    │   └── MissingExtraError           an optional package that has to be installed
    ├── WireError                     a request or an answer that breaks the wire format
    │   ├── MalformedBodyError          422
    │   ├── BodyTooLargeError           413
    │   ├── LengthRequiredError         411
    │   ├── UnsupportedMediaTypeError   415
    │   └── WireVersionError            426
    ├── UnauthorizedError             401
    ├── NotFoundError                 404
    ├── ConflictError                 409, by kind
    │   ├── StaleUpdateError            too many versions behind
    │   ├── SequenceGapError            a sequence is missing; names the last known one
    │   ├── SupersededSequenceError     older than the session's last sequence
    │   └── UnknownSessionError         never registered, or expired
    ├── WrongRunError                 412
    │   └── OtherRunError               of the same name: what was learned for the former one is to be dropped
    ├── InvalidUpdateError            422, uses the sequence up
    ├── InvalidTransitionError        422, the whole insert is refused
    ├── RateLimitedError              429, with the time to wait
    ├── UnavailableError              503, with the time to wait
    │   ├── StoreUnavailableError
    │   │   ├── StoreRefusedError       it answers and refuses: nothing was written
    │   │   └── StoreCredentialsError   it refuses user or password, or there is none to be had
    │   └── TransportError              the other side could not be reached (client side only)
    └── RunFailedError                exit code 1
        ├── EnvironmentFailedError      the environment's own code raised while it was played
        ├── FencedError                 a newer epoch owns the store
        ├── StoreNotDurableError        the store would lose acknowledged updates: exit code 2
        └── StoreLostError              the volume knows a run that the store has lost: exit code 2

Every class knows its HTTP status, the exit code of a process that ends by it, and a stable ``kind`` that travels in
``application/problem+json``; every message names the value, the bound and the way out, in one line.
"""

from typing import ClassVar


class AdqlError(Exception):
    """Root of the tree; ``details`` are JSON scalars that a client may act on."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    """Of a process that ends by it: 1, the run failed; 2, somebody has to change what was asked for."""

    def __init__(self, message: str, /, **details: int | float | str | None) -> None:
        super().__init__(message)
        self.details = details


class InputError(AdqlError):
    """What a person typed is wrong; nothing was changed."""

    status = 422
    kind = "input"
    exit_code = 2


class ConfigError(InputError):
    """A key of the run specification is unknown, impossible or out of bounds."""

    kind = "config"


class EnvironmentUnusableError(InputError):
    """It does not exist, is not allowed, or has spaces or answers that cannot be used."""

    kind = "environment"


class EnvironmentMissingError(EnvironmentUnusableError):
    """Its package, or what that needs, is not installed here, or nothing that is registers it."""

    kind = "environment_missing"


class CheckpointError(InputError):
    """A stored file is corrupt, truncated or belongs to another run."""

    kind = "checkpoint"


class ForeignCheckpointError(CheckpointError):
    """A stored file is whole and belongs to another run, configuration or release."""

    kind = "foreign_checkpoint"


class MissingExtraError(InputError):
    """An optional package is needed and not installed."""

    kind = "missing_extra"


class WireError(AdqlError):
    """A body or header that breaks the wire format."""

    status = 400
    kind = "wire"


class MalformedBodyError(WireError):
    """Names, shapes, dtypes, lengths or checksum do not hold."""

    status = 422
    kind = "malformed"


class BodyTooLargeError(WireError):
    """More bytes than this resource may ever carry."""

    status = 413
    kind = "too_large"


class LengthRequiredError(WireError):
    """A bulk body without Content-Length."""

    status = 411
    kind = "length_required"


class UnsupportedMediaTypeError(WireError):
    """Another content type or a content encoding; bodies are never decompressed."""

    status = 415
    kind = "media_type"


class WireVersionError(WireError):
    """The other side speaks another wire number."""

    status = 426
    kind = "wire_version"
    exit_code = 2


class UnauthorizedError(AdqlError):
    """No token, or a wrong one."""

    status = 401
    kind = "unauthorized"
    exit_code = 2


class NotFoundError(AdqlError):
    """No such resource."""

    status = 404
    kind = "not_found"


class ConflictError(AdqlError):
    """The request is well formed and does not fit the present state."""

    status = 409
    kind = "conflict"


class StaleUpdateError(ConflictError):
    """The update is based on a version too far behind; it used its sequence up."""

    kind = "stale"


class SequenceGapError(ConflictError):
    """A sequence is missing; ``details["last_sequence"]`` is the last one known."""

    kind = "gap"


class SupersededSequenceError(ConflictError):
    """Older than the session's last sequence: its answer is no longer kept."""

    kind = "superseded"


class UnknownSessionError(ConflictError):
    """The session never registered here or its lease expired; register again."""

    kind = "unknown_session"


class WrongRunError(AdqlError):
    """Another run, another configuration, or an epoch newer than the server's."""

    status = 412
    kind = "wrong_run"
    exit_code = 2


class OtherRunError(WrongRunError):
    """A run of the same name and configuration took the place of the one that a client knew."""

    kind = "other_run"


class InvalidUpdateError(AdqlError):
    """An update that is not finite or would make the parameters so; it used its sequence up."""

    status = 422
    kind = "invalid_update"


class InvalidTransitionError(AdqlError):
    """A transition of another shape, dtype or range, or not finite; nothing of the insert was kept."""

    status = 422
    kind = "invalid_transition"


class RateLimitedError(AdqlError):
    """Too fast for now; ``details["retry_after_ms"]`` says when to come again."""

    status = 429
    kind = "rate_limited"


class UnavailableError(AdqlError):
    """Cannot answer now; ``details["retry_after_ms"]`` says when to come again."""

    status = 503
    kind = "unavailable"


class StoreUnavailableError(UnavailableError):
    """The weight store does not answer, hangs or is full."""

    kind = "store_unavailable"


class StoreRefusedError(StoreUnavailableError):
    """The weight store answers and refuses, as when it is full: nothing was written."""

    kind = "store_refused"


class StoreCredentialsError(StoreUnavailableError):
    """The weight store refuses user or password, or there is no password to be had now."""

    kind = "store_credentials"


class TransportError(UnavailableError):
    """The connection failed before a whole answer arrived: the outcome is unknown, unless nobody listened."""

    kind = "transport"


class RunFailedError(AdqlError):
    """The run cannot go on: exit code 1."""

    kind = "run_failed"


class EnvironmentFailedError(RunFailedError):
    """The environment's own code raised while it was played; its error is the cause of this one."""

    kind = "environment_failed"


class FencedError(RunFailedError):
    """A server with a newer epoch owns the store; this one has to end."""

    status = 503
    kind = "fenced"


class StoreNotDurableError(RunFailedError):
    """The store's settings would lose acknowledged updates."""

    status = 503
    kind = "store_not_durable"
    exit_code = 2


class StoreLostError(RunFailedError):
    """This server's volume knows a run that the store has lost or holds older."""

    status = 503
    kind = "store_lost"
    exit_code = 2
