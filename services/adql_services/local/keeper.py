"""Which weight store a local run has: the embedded one, kept alive, or the one that ADQL_REDIS_URL names."""

import time
from collections.abc import Callable
from pathlib import Path

from adql.config import ParameterServerSettings, load_settings
from adql.errors import InputError, RunFailedError, StoreLostError, StoreNotDurableError, StoreUnavailableError
from adql.parameters.store import WeightStore, open_store, way_out
from adql_services.local.cpu import CpuSeconds
from adql_services.local.last_words import last_line
from adql_services.local.processes import MAX_CRASHES, STABLE_SECONDS
from adql_services.local.store import STOP_SECONDS, LocalStore


def named_store() -> ParameterServerSettings | None:
    """Returns the settings with the store that ADQL_REDIS_URL names, None where it is not set."""
    settings = load_settings(ParameterServerSettings)
    return settings if "redis_url" in settings.model_fields_set else None


def connect(settings: ParameterServerSettings, run: str, state_bytes: int = 0) -> WeightStore:
    """Returns the named store, which was asked whether it is durable for states of ``state_bytes``.

    Raises:
        InputError: no address, no password file, no answer, or settings that would lose updates.
    """
    store = open_store(settings, run, state_bytes=state_bytes)
    try:
        store.check_durable()
    except StoreUnavailableError as error:
        hint = way_out(error, "start that store")
        raise InputError(f"ADQL_REDIS_URL: {error}; {hint}, or unset ADQL_REDIS_URL for an embedded one") from None
    except StoreNotDurableError as error:
        raise InputError(f"ADQL_REDIS_URL: {error}, or unset the variable for an embedded store") from None
    return store


def check_free(settings: ParameterServerSettings, run: str, state_bytes: int) -> str:
    """Refuses to begin a run under a name that the named store knows; returns the store's address.

    Raises:
        InputError: see ``connect``; or the name is taken.
    """
    store = connect(settings, run, state_bytes)
    try:
        if store.mark() is not None:
            raise InputError(
                f"the store of ADQL_REDIS_URL has a run named {run!r} already; "
                "go on with it by `adql resume` and its DIR, or name this one with run.name=..."
            )
        return store.address
    finally:
        store.close()


class StoreKeeper:
    """Starts the embedded store again when it dies; one that dies again and again ends the run."""

    def __init__(
        self,
        directory: Path,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        state_bytes: int = 0,
    ) -> None:
        self._store, self._say, self._clock = LocalStore(directory, state_bytes=state_bytes), say, clock
        self._run = directory.parent
        self._started, self._crashes, self._cpu = clock(), 0, CpuSeconds()

    @property
    def url(self) -> str:
        """For redis-py."""
        return self._store.url

    def start(self) -> None:
        """Starts it; returns when it answers.

        Raises:
            StoreLostError: its files are damaged; a checkpoint has to be taken instead.
            RunFailedError: it cannot be started.
        """
        self._started = self._clock()
        self._cpu.begin()
        try:
            self._store.start()
        except StoreLostError as error:
            raise StoreLostError(f"{error}; take the newest checkpoint with `adql restore {self._run}`") from None

    def check(self) -> None:
        """Starts it again if it died.

        Raises:
            RunFailedError: it dies again and again, or cannot be started.
        """
        code = self._store.exit_code
        if code is None:
            return
        self._crashes = self._crashes + 1 if self._clock() - self._started < STABLE_SECONDS else 1
        if self._crashes >= MAX_CRASHES:
            raise RunFailedError(
                f"store ended {self._crashes} times in a row within {STABLE_SECONDS:g} s of its start, "
                f"last with code {code}: {last_line(self._store.log)}; see {self._store.log}"
            )
        self._say(f"store ended with code {code}; starting it again")
        self.start()

    def cpu_seconds(self) -> float:
        """User and system time of the store so far, of its earlier lives too."""
        return self._cpu.look(self._store.pid)

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Ends it for good; returns False if it had to be killed, which loses nothing that was committed."""
        return self._store.close(seconds)
