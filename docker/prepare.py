"""What the services need before they start: a run specification that they can go on with, token, the store's password.

A service that is refused would be started again for ever; what is refused here ends ``docker compose up`` in one line.

The two secrets are made once, kept, and never printed. ``prepare.py rotate`` puts a new token before the present one,
which stays valid until the next time: every service reads the file again when it changes.
"""

import os
import secrets
import sys
from pathlib import Path

from adql.agent.environments import resolve
from adql.config import RunSpecification, load_specification
from adql.errors import AdqlError, ConfigError, EnvironmentMissingError
from adql.parameters.state import RunIdentity
from adql_services.runtime.failure import tell

RUN_FILE, TOKENS, PASSWORD = "/etc/adql/run.yaml", "/run/secrets/adql/tokens", "/run/secrets/store/password"
KEPT = "/kept"
"""The parameter server's volume: a folder for each run, with the specification that it runs by."""
MODE = 0o440
OWN_ENVIRONMENT = (
    "the servers need no package where environment.signature is set: `docker run --rm YOUR-IMAGE config show …` prints "
    "such a run specification, with ADQL_LEARNER_IMAGE=YOUR-IMAGE learners and evaluator have the package"
)


def check(run_file: str, kept: str) -> None:
    """Refuses what no service would go on with.

    Raises:
        AdqlError: says what is wrong and the way out.
    """
    specification = load_specification(Path(run_file))
    try:
        environment = resolve(specification.environment)
    except EnvironmentMissingError as error:
        raise EnvironmentMissingError(f"{error}; {OWN_ENVIRONMENT}") from None
    before = stored(Path(kept, specification.run.name, "run.yaml"))
    if before is not None:
        RunIdentity.of(before, run_id="").check(specification.model_copy(update={"environment": environment}))


def stored(file: Path) -> RunSpecification | None:
    """Returns what the run of this name was started with; None where the parameter server alone can say."""
    try:
        return load_specification(file, environ={}) if file.exists() else None
    except ConfigError:
        return None


def in_words_of_compose(error: AdqlError, run_file: str) -> AdqlError:
    """Returns ``error`` with what people set in place of what the containers are given for it."""
    outside = f"ADQL_RUN_FILE={os.environ.get('ADQL_RUN_FILE', '')}"
    return type(error)(str(error).replace(run_file, outside).replace("ADQL_RUN__NAME", "ADQL_RUN"))


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


def main(
    words: list[str], run_file: str = RUN_FILE, tokens: str = TOKENS, password: str = PASSWORD, kept: str = KEPT
) -> int:
    """Returns the exit code."""
    if words not in ([], ["rotate"]):
        sys.stderr.write(f"prepare: {' '.join(words)}: not known here; write nothing, or rotate for a new token\n")
        return 2
    try:
        if not words:  # a rotation starts nothing that would be refused
            check(run_file, kept)
    except AdqlError as error:
        return tell(in_words_of_compose(error, run_file))
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
