"""What the services need before they start: a run specification without a mistake, the token, the store's password.

The two secrets are made once, kept, and never printed. ``prepare.py rotate`` puts a new token before the present one,
which stays valid until the next time: every service reads the file again when it changes.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

RUN_FILE, TOKENS, PASSWORD = "/etc/adql/run.yaml", "/run/secrets/adql/tokens", "/run/secrets/store/password"
MODE = 0o440


def is_trainable(run_file: str) -> int:
    """Returns 0, or the exit code of the program that said in one line what is wrong with ``run_file``."""
    return subprocess.run(["adql", "config", "show", run_file], stdout=subprocess.DEVNULL, check=False).returncode


def write(file: Path, lines: list[str]) -> None:
    """Writes ``lines`` so that nobody ever sees half of them."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w") as stream:
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
        os.fsync(stream.fileno())
    new.rename(file)


def lines_of(file: Path) -> list[str]:
    """Returns what is in ``file``, nothing where it is not there."""
    return file.read_text().split() if file.exists() else []


def main(words: list[str], run_file: str = RUN_FILE, tokens: str = TOKENS, password: str = PASSWORD) -> int:
    """Returns the exit code."""
    if words not in ([], ["rotate"]):
        sys.stderr.write(f"prepare: {' '.join(words)}: not known here; write nothing, or rotate for a new token\n")
        return 2
    if code := is_trainable(run_file):
        return code
    present = lines_of(Path(tokens))
    if words or not present:
        write(Path(tokens), [secrets.token_hex(32), *present[:1]])
        sys.stdout.write("a new token is made\n")
    if not lines_of(Path(password)):
        write(Path(password), [secrets.token_hex(32)])
        sys.stdout.write("the store's password is made\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
