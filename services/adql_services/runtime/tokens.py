"""Bearer tokens in a file: one a line, all valid, the first is the one to send; read again when the file changes."""

import hmac
from pathlib import Path
from typing import Self

from adql.config import ServiceSettings
from adql.errors import InputError

_Stamp = tuple[int, int, int]


class Tokens:
    """The tokens of ``path``; two lines let a token be rotated without a failed request.

    Raises:
        InputError: the file cannot be read, or holds no token; only at construction. Later a file that is missing or
            empty for a moment leaves the tokens as they were.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: _Stamp | None = None
        self._tokens: tuple[bytes, ...] = ()
        try:
            self._read(self._current_stamp())
        except OSError as error:
            raise InputError(f"cannot read the token file {path}: {error.strerror}; write one token a line") from None
        if not self._tokens:
            raise InputError(
                f"the token file {path} holds no token; write one token a line, printable ASCII, no spaces"
            )

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self | None:
        """Returns the tokens that ``settings`` ask for, None where authentication is switched off.

        Raises:
            InputError: authentication is on and there is no token file.
        """
        if not settings.auth:
            return None
        if settings.token_file is None:
            raise InputError("ADQL_TOKEN_FILE is not set; name a file with one token a line, or set ADQL_AUTH=false")
        return cls(settings.token_file)

    def accepts(self, presented: str | bytes) -> bool:
        """Compares with every token, in constant time for each."""
        self._refresh()
        candidate = presented.encode("utf-8", "surrogateescape") if isinstance(presented, str) else presented
        return sum(hmac.compare_digest(candidate, token) for token in self._tokens) > 0

    def all(self) -> tuple[str, ...]:
        """Returns every token: clients send the first, and the next where one is refused."""
        self._refresh()
        return tuple(token.decode("ascii") for token in self._tokens)

    def _refresh(self) -> None:
        try:
            stamp = self._current_stamp()
            if stamp != self._stamp:
                self._read(stamp)
        except OSError:
            return  # a rotation under way: what was valid stays so

    def _current_stamp(self) -> _Stamp:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _read(self, stamp: _Stamp) -> None:
        lines = self._path.read_bytes().split(b"\n")
        tokens = tuple(token for line in lines if _is_token(token := line.strip()))
        if tokens:
            self._stamp, self._tokens = stamp, tokens


def _is_token(line: bytes) -> bool:
    return bool(line) and all(0x21 <= byte <= 0x7E for byte in line)
