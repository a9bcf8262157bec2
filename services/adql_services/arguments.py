"""What may have been meant by a word of the command line that cannot be taken as it is.

Everything heavy is imported once there is something to refuse.
"""

import argparse
import difflib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

SHORT_NAMES = {
    "--env": "environment.id",
    "--learners": "training.learners",
    "--actors": "training.actors",
    "--seed": "run.seed",
    "--steps": "training.environment_steps",
}
"""Options that stand for keys of the run specification."""
ENVIRONMENT_ID = re.compile(r"([\w.]+:)?[\w/-]+-v\d+")


class Parser(argparse.ArgumentParser):
    """Says every error in one line, after the same words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    @property
    def options(self) -> list[str]:
        """Every option by its long name."""
        return [option for option in self._option_string_actions if option.startswith("--")]

    @property
    def takes_keys(self) -> bool:
        """Whether key=value is a word of this command."""
        return any("key=value" in str(action.metavar) for action in self._actions)

    def error(self, message: str) -> NoReturn:
        """Ends the process with the one line that says what is wrong."""
        from adql.errors import InputError
        from adql_services.runtime.failure import tell

        self.exit(tell(InputError(f"{message}; `{self.prog} --help` says what there is")))


def not_known(parser: Parser, unknown: Sequence[str], commands: Sequence[Parser], arguments: Sequence[str]) -> str:
    """Returns what to say of the ``unknown`` words of ``arguments``, which ``parser`` cannot take."""
    option, _, value = unknown[0].partition("=")
    if option.startswith("--"):
        value = value or _value_after(option, arguments)
        if owner := next((command for command in commands if option in command.options), None):
            return _belongs(option, value, owner, parser)
        if parser.takes_keys and (key := _key_named(option)):
            return f"{option}: not known here; {_way_out(key, value, parser)}"
        if near := _near_option(option, parser.options):
            return f"{' '.join(unknown)}: not known here, did you mean {near}?"
    return f"{' '.join(unknown)}: not known here"


def _value_after(option: str, arguments: Sequence[str]) -> str:
    """Returns the word after ``option``; argparse itself may have taken it for another argument."""
    following = dict(itertools.pairwise(arguments)).get(option, "--")
    return "…" if following.startswith("--") else following


def _near_option(option: str, options: Sequence[str]) -> str | None:
    """Compares without the dashes, which every option shares."""
    names = {other.removeprefix("--"): other for other in options}
    near = difflib.get_close_matches(option.removeprefix("--"), names, n=1)
    return names[near[0]] if near else None


def _belongs(option: str, value: str, owner: Parser, parser: Parser) -> str:
    told = f"{option} belongs to `{owner.prog}`"
    if not parser.takes_keys:
        return told
    if key := SHORT_NAMES.get(option):
        return f"{told}; {_way_out(key, value, parser)}"
    fixed = owner.takes_keys and _resumes(parser)
    return f"{told} and cannot be changed on resume, so leave it out" if fixed else told


def _way_out(key: str, value: str, parser: Parser) -> str:
    if _resumes(parser) and _defines_the_run(key):
        return f"{key} defines the run and cannot be changed on resume, so leave it out"
    return f"write {key}={value}"


def _resumes(parser: Parser) -> bool:
    return parser.prog.endswith(" resume")


def _defines_the_run(key: str) -> bool:
    from adql_services.local.resume import FIXED

    section, _, rest = key.partition(".")
    fixed = FIXED.get(section, False)
    return fixed if isinstance(fixed, bool) else rest.partition(".")[0] in fixed


def _key_named(option: str) -> str | None:
    """Returns the key that ``option`` names whole or by its last part, if there is one alone."""
    from adql.config import RunSpecification
    from adql.config.complaints import all_keys

    name = option.removeprefix("--").replace("-", "_")
    keys = [key for key in all_keys(RunSpecification) if name in (key, key.rpartition(".")[2])]
    return keys[0] if len(keys) == 1 else None


def check_is_no_environment(word: str, option: str) -> None:
    """Refuses the id of an environment where a file is to be named; a file of that name is one all the same.

    Raises:
        ConfigError: names the ``option`` to write before it.
    """
    from adql.errors import ConfigError

    if ENVIRONMENT_ID.fullmatch(word) and not Path(word).exists() and (":" in word or _is_registered(word)):
        raise ConfigError(f"{word} is no file; did you mean `{option}{word}`?")


def _is_registered(word: str) -> bool:
    from adql.agent.environments import is_registered

    return is_registered(word)
