"""The weight store: the durable state of a run in one Redis hash, replaced by one HSET at a time.

A commit names the commit that it replaces; a script compares and writes in one step. A script with two writes is not
crash-atomic when the append-only file is torn, so one alone counts: parts of large fields are there before it, in a
hash of this commit alone, and those of the former commit are freed behind it. redis-py's own retries are off: after an
unknown outcome the caller reads the mark back before anything else.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adql.config import ParameterServerSettings
from adql.errors import (
    CheckpointError,
    ConfigError,
    StoreCredentialsError,
    StoreNotDurableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from adql.parameters.parts import PART_BYTES, Blob, cut, joined
from adql.parameters.state import WAY_OUT, Mark, State

MIN_REWRITE_BYTES = 256 * 1024**2
"""Smallest ``auto-aof-rewrite-min-size``: rewriting the append-only file for every few commits would cost more."""
REWRITE_STATES = 16
MIN_BYTES_PER_SECOND = 10_000_000
"""A commit may take this long in addition to the timeout."""

DURABLE_SETTINGS = (
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
)
"""What a store must be set to: with the third one at yes it answers before it syncs while it rewrites its file."""
REFUSED_HINT = "it answers and refuses: give it memory or disk where it is full, its user rights where they lack"
CREDENTIALS_HINT = (
    "correct the user in ADQL_REDIS_URL, or the password in ADQL_REDIS_PASSWORD_FILE, under Kubernetes in the Secret "
    "that it is mounted from; it is read anew at each try"
)
MARK_FIELDS = ["epoch", "version", "commit", "owner"]
PARTS = "parts"
"""Field with the key of the hash that has the large fields' parts; empty where there are none."""
PARTS_EXPIRE_SECONDS = 3600
"""Parts whose commit never came, since their server died, are forgotten after this long."""
MAX_READS = 5
Guard = tuple[bytes, ...]
"""The raw fields of a mark; empty ones are missing."""

COMMIT = """
local held = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'commit', 'owner', 'parts')
for i = 1, 4 do
  if (held[i] or '') ~= ARGV[i] then return {held[1], held[2], held[3], held[4]} end
end
if KEYS[2] then
  if redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[5]) then
    return redis.error_reply('ERR parts of this commit are missing')
  end
  redis.call('PERSIST', KEYS[2])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
if (held[5] or '') ~= '' then redis.call('UNLINK', held[5]) end
return {}
"""
DISCARD = """
for i = 2, #KEYS do
  if redis.call('HGET', KEYS[1], 'parts') ~= KEYS[i] then redis.call('UNLINK', KEYS[i]) end
end
"""


def rewrite_bytes(state_bytes: int) -> int:
    """Returns the least ``auto-aof-rewrite-min-size`` for states of ``state_bytes``."""
    return max(MIN_REWRITE_BYTES, REWRITE_STATES * state_bytes)


@dataclass(frozen=True, slots=True)
class StoreMemory:
    """Bytes of memory that a store uses, and that it may use: its maxmemory, else what its machine has."""

    used: int
    limit: int


class WeightStore:
    """One run's hash ``adql:<run>`` in a Redis from 6.2 or a Valkey; used by one thread at a time.

    Every method raises StoreUnavailableError when the store cannot be reached, hangs, is full, is loading or lets
    nobody in. The outcome of a commit is unknown then, unless it is a StoreRefusedError: the store said itself that it
    did not write.
    """

    def __init__(
        self,
        url: str,
        run: str,
        *,
        password: Callable[[], str] | None = None,
        timeout_seconds: float = 2.0,
        state_bytes: int = 0,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """``password`` is asked at each connection: it may be another one then."""
        self._key, self._part_bytes = f"adql:{run}", part_bytes
        self.address = _without_secrets(url)
        """For people and logs."""
        self._user = unquote(urlsplit(url).username or "default")
        self._state_bytes = state_bytes
        self._redis = redis.Redis.from_url(
            url if password is None else _without_user(url),
            credential_provider=None if password is None else _Credentials(url, password),
            socket_timeout=timeout_seconds + state_bytes / MIN_BYTES_PER_SECOND,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            protocol=2,
            driver_info=None,
        )
        self._commit = self._redis.register_script(COMMIT)
        self._discard = self._redis.register_script(DISCARD)
        self._unconfirmed: set[str] = set()
        """Keys of parts of which it is not known that the store's commit is theirs."""

    def check_durable(self) -> None:
        """Refuses settings under which an acknowledged update could be lost; reads CONFIG and nothing else.

        Raises:
            StoreNotDurableError: names the setting, its value and what is needed.
        """
        for name, wanted in DURABLE_SETTINGS:
            if (value := self._setting(name)) != wanted:
                raise StoreNotDurableError(_complaint(name, value, wanted))
        needed = rewrite_bytes(self._state_bytes)
        size = self._setting("auto-aof-rewrite-min-size")
        if not size.isdigit() or int(size) < needed:
            raise StoreNotDurableError(_complaint("auto-aof-rewrite-min-size", size, f"at least {needed}", _SIZE))

    def mark(self) -> Mark | None:
        """Returns which commit the store holds, None if it does not know the run.

        Raises:
            CheckpointError: what is stored is damaged.
        """
        return _mark(self._mark_fields())

    def guard(self) -> Guard:
        """Returns what ``commit_over`` asks for, even where the mark cannot be read."""
        return tuple(value or b"" for value in self._mark_fields())

    def read(self) -> State | None:
        """Returns the whole state, None if the store does not know the run.

        Raises:
            CheckpointError: what is stored is damaged.
        """
        for _ in range(MAX_READS):  # another server may commit meanwhile, and free the parts of what it replaced
            blobs = {name.decode(errors="replace"): blob for name, blob in self._hash(self._key).items()}
            fields = [blobs.get(name) for name in MARK_FIELDS]
            if (mark := _mark(fields)) is None:
                return None
            if key := blobs.pop(PARTS, b""):
                blobs |= joined(self._hash(key))
            if self._mark_fields() == fields:
                return State.from_blobs(mark, blobs)
        raise StoreUnavailableError("weight store: another server replaces what is read; ask again", retry_after_ms=200)

    def commit(self, state: State, replaces: Mark | None) -> Mark | None:
        """Writes ``state`` if the store holds exactly ``replaces``; returns what it holds afterwards.

        That is ``state.mark`` after a write, and anything else when it was refused.
        """
        return self.commit_over(state, _NOTHING if replaces is None else _guard(replaces))

    def commit_over(self, state: State, guard: Guard) -> Mark | None:
        """As ``commit``, for a store that holds exactly what ``guard`` returned."""
        blobs, parts = cut(state.blobs(), self._part_bytes)
        key = f"{self._key}:{state.mark.owner}:{state.mark.commit}" if parts else ""
        fields = dict(zip(MARK_FIELDS, _guard(state.mark), strict=True)) | {PARTS: key.encode()} | blobs
        arguments = [*guard, len(parts), *(part for field in fields.items() for part in field)]
        try:
            if parts:
                self._send_ahead(key, parts)
            held = self._asked(lambda: self._commit(keys=[self._key, *([key] if key else [])], args=arguments))
        except StoreRefusedError:
            with suppress(StoreUnavailableError):
                self._free_unconfirmed()  # a full store needs the room
            raise
        if held:
            return _mark(held)
        self._unconfirmed.discard(key)
        return state.mark

    def _send_ahead(self, key: str, parts: Mapping[str, Blob]) -> None:
        self._free_unconfirmed()
        self._unconfirmed.add(key)
        with self._redis.pipeline(transaction=False) as pipeline:
            for name, part in parts.items():
                pipeline.hset(key, name, part)
            pipeline.expire(key, PARTS_EXPIRE_SECONDS)
            self._asked(lambda: _all_done(pipeline.execute(raise_on_error=False)))

    def _free_unconfirmed(self) -> None:
        if self._unconfirmed:
            self._asked(lambda: self._discard(keys=[self._key, *self._unconfirmed]))
            self._unconfirmed.clear()

    def memory(self) -> StoreMemory:
        """Returns what INFO says; StoreRefusedError where this user may not ask."""
        told = self._asked(lambda: self._redis.info("memory"))
        return StoreMemory(told.get("used_memory", 0), told.get("maxmemory", 0) or told.get("total_system_memory", 0))

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _hash(self, key: str | bytes) -> Mapping[bytes, bytes]:
        return cast(Mapping[bytes, bytes], self._asked(lambda: self._redis.hgetall(key)))

    def _mark_fields(self) -> list[bytes | None]:
        return cast(list[bytes | None], self._asked(lambda: self._redis.hmget(self._key, MARK_FIELDS)))

    def _setting(self, name: str) -> str:
        try:
            found = self._asked(lambda: self._redis.config_get(name))
        except StoreRefusedError as error:
            raise StoreNotDurableError(f"cannot check {name}: {error}; allow CONFIG GET") from error
        return str(next(iter(found.values()), "missing"))

    def _asked(self, operation: Callable[[], Any]) -> Any:
        try:
            return operation()
        except (redis.AuthenticationError, _NoPassword) as error:
            message = f"weight store: {self.address} lets user {self._user!r} not in: {error}"
            raise StoreCredentialsError(message, retry_after_ms=200) from error
        except (redis.RedisError, OSError) as error:
            message = f"weight store: {type(error).__name__}: {error}"
            kind = StoreRefusedError if isinstance(error, redis.ResponseError) else StoreUnavailableError
            raise kind(message, retry_after_ms=200) from error


def open_store(settings: ParameterServerSettings, run: str, *, state_bytes: int = 0) -> WeightStore:
    """Returns the store that ``settings`` name, without talking to it.

    Raises:
        ConfigError: the password file cannot be read, or the address is none.
    """
    secret = settings.redis_password_file
    password = None if secret is None else partial(_password_in, secret)
    try:
        if password:
            password()
    except (OSError, ValueError) as error:
        raise ConfigError(f"ADQL_REDIS_PASSWORD_FILE={secret}: {error}; correct it") from None
    try:
        return WeightStore(settings.redis_url, run, password=password, state_bytes=state_bytes)
    except ValueError as error:
        raise ConfigError(f"ADQL_REDIS_URL: {error}; correct it") from None


def way_out(error: StoreUnavailableError, away: str) -> str:
    """Returns what to do about ``error``: ``away``, unless the store answers, so that to start it changes nothing."""
    if isinstance(error, StoreCredentialsError):
        return CREDENTIALS_HINT
    return REFUSED_HINT if isinstance(error, StoreRefusedError) else away


def _password_in(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()


class _NoPassword(redis.ConnectionError):
    """There is none now."""


class _Credentials(redis.CredentialProvider):
    """The user whom the address names, with the password of now."""

    def __init__(self, url: str, password: Callable[[], str]) -> None:
        self._user, self._password = unquote(urlsplit(url).username or ""), password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Returns them for a new connection.

        Raises:
            _NoPassword: of what is no redis.ConnectionError redis-py would keep the connection.
        """
        try:
            password = self._password()
        except (OSError, UnicodeError) as error:
            raise _NoPassword(f"no password: {error}") from None
        return (self._user, password) if self._user else (password,)


def _without_user(url: str) -> str:
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    return url.replace(f"{user}{at}", "", 1)


def _without_secrets(url: str) -> str:
    """User, password and query may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _all_done(answers: Sequence[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


_NOTHING: Guard = (b"",) * len(MARK_FIELDS)


def _guard(mark: Mark) -> Guard:
    return tuple(str(value).encode() for value in mark)


def _mark(values: Sequence[bytes | None]) -> Mark | None:
    if not any(values):
        return None
    try:
        epoch, number, commit, owner = (_present(value).decode() for value in values)
        return Mark(int(epoch), int(number), int(commit), owner)
    except ValueError:
        found = dict(zip(MARK_FIELDS, values, strict=True))
        raise CheckpointError(f"stored state is damaged: its mark: {found}; {WAY_OUT}") from None


def _present(value: bytes | None) -> bytes:
    if not value:
        raise ValueError("missing")
    return value


_SIZE = "there (ADQL_VALKEY_REWRITE_MIN_SIZE under docker compose, valkey.rewriteMinSize in the chart)"


def _complaint(name: str, value: str, wanted: str, where: str = "there") -> str:
    return (
        f"weight store has {name}={value!r}, needed is {wanted}; acknowledged updates could be lost: change it {where}"
    )
