"""Files as one stream that is whole or refused: a tar archive, whose last member says what the others have to be."""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from adql.errors import MalformedBodyError

MANIFEST = "manifest.json"
"""Length and SHA-256 of every other member, by name."""
_NAME = re.compile(r"(?:[a-z]+/)?[a-z0-9][\w.-]{0,127}")
"""At most one folder deep, and never out of it."""
_CHUNK_BYTES = 1 << 20


class Part(NamedTuple):
    """One file: its first ``size`` bytes."""

    name: str
    file: BinaryIO
    size: int

    @classmethod
    def of(cls, name: str, content: bytes) -> "Part":
        """Returns a file of ``content``."""
        return cls(name, io.BytesIO(content), len(content))


def write_bundle(out: BinaryIO, parts: Iterable[Part]) -> None:
    """Writes the ``parts`` one after the other, and the manifest."""
    sums: dict[str, dict[str, int | str]] = {}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for part in parts:
            hashing = _Hashing(part.file)
            tar.addfile(_header(part.name, part.size), hashing)
            sums[part.name] = {"bytes": part.size, "sha256": hashing.hexdigest()}
        manifest = json.dumps(sums).encode()
        tar.addfile(_header(MANIFEST, len(manifest)), io.BytesIO(manifest))


def read_bundle(stream: IO[bytes], folder: Path) -> None:
    """Writes what ``write_bundle`` wrote into ``folder``, which is there.

    Raises:
        MalformedBodyError: it ended early, or is not what its manifest says; what is in ``folder`` is of no use.
    """
    sums: dict[str, dict[str, int | str]] = {}
    wanted = None
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                content = _content(tar, member)
                if member.name == MANIFEST:
                    wanted = json.load(content)
                else:
                    sums[member.name] = _written(content, folder / member.name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise MalformedBodyError(f"what came is not whole ({error}); try again") from None
    if wanted is None or sums != wanted:
        lost = sorted(name for name in {*sums, *(wanted or {})} if sums.get(name) != (wanted or {}).get(name))
        raise MalformedBodyError(f"what came is not whole: {', '.join(lost) or 'nothing came'}; try again")


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member) if member.isreg() and _NAME.fullmatch(member.name) else None
    if content is None:
        raise ValueError(f"{member.name[:128]!r} is no file of a run")
    return content


def _written(content: IO[bytes], path: Path) -> dict[str, int | str]:
    path.parent.mkdir(exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += file.write(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


class _Hashing(io.RawIOBase):
    """What is read of a file, and its hash."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._digest.update(content)
        return content

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
