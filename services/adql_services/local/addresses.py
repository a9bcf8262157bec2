"""Where the services of a local run listen: unix sockets in one short private folder, gone with the run."""

import secrets
import shutil
import tempfile
from pathlib import Path


def private_folder() -> Path:
    """Makes a folder of mode 0700; in /tmp, since socket paths have 107 bytes and $TMPDIR may be longer."""
    return Path(tempfile.mkdtemp(prefix="adql-", dir="/tmp"))


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
