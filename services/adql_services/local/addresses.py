"""Where the services of a local run listen: unix sockets in one short private folder, gone with the run."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from adql.files import hold_lock

PLACE, PREFIX, LOCK = Path("/tmp"), "adql-", ".owner"
"""Socket paths have 107 bytes, and $TMPDIR may be longer."""


def private_folder() -> Path:
    """Makes a folder of mode 0700, this process's own: a lock in it is held until the process ends, however it ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
        with contextlib.suppress(FileNotFoundError):
            if hold_lock(folder / LOCK) is not None:
                return folder
        # one who cleans up took it for abandoned before it was locked


def remove_abandoned(place: Path = PLACE) -> int:
    """Removes this user's private folders whose owner has ended without; returns how many."""
    removed = 0
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_private(folder) and (descriptor := hold_lock(folder / LOCK, flags=0)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)
                removed += 1
    return removed


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    mode = stat.S_IFDIR | stat.S_IRWXU
    return (found.st_uid, found.st_mode) == (os.geteuid(), mode)


class Rendezvous:
    """A private folder with the sockets and the token of one run."""

    def __init__(self) -> None:
        self.path = private_folder()
        self.token_file = self.path / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")

    def socket(self, name: str) -> str:
        """Returns the address of the service ``name``."""
        return f"unix:{self.path / name}.sock"

    def token(self) -> str:
        """Returns the token that every service of the run accepts."""
        return self.token_file.read_text(encoding="ascii").strip()

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
