"""The names of ADQL_* variables, and what is said of a name that is none."""

import difflib
import re
from collections.abc import Iterable

from adql.config.complaints import LEAST_LIKENESS, MOST_NEAR, all_keys, near_keys
from adql.config.settings import (
    ControllerSettings,
    EvaluatorSettings,
    LearnerSettings,
    ParameterServerSettings,
    ReplayServerSettings,
    SelfTestSettings,
)
from adql.config.specification import RunSpecification
from adql.errors import ConfigError

PREFIX = "ADQL_"
_SERVICES = (
    *(ParameterServerSettings, ReplayServerSettings, LearnerSettings, EvaluatorSettings),
    *(ControllerSettings, SelfTestSettings),
)
_LINK = re.compile(
    r"ADQL(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes tells each container of every service whose name begins with adql."""


def variable_of(key: str) -> str:
    """Returns the variable that sets ``key``: ``ADQL_REPLAY__CAPACITY`` for ``replay.capacity``."""
    return PREFIX + key.upper().replace(".", "__")


_SETTINGS = {variable_of(name) for kind in _SERVICES for name in kind.model_fields}
_BY_WORDS = {
    name.removeprefix(PREFIX).replace("__", "_"): name
    for name in (*sorted(_SETTINGS), *map(variable_of, all_keys(RunSpecification)))
}
"""Every variable by its words, however they are joined."""


def check_names(names: Iterable[str]) -> None:
    """Refuses a variable that is a misspelt name; one that is like no name is somebody else's.

    Raises:
        ConfigError: a name with ``__`` that begins with no section, or one without that is like a known one.
    """
    unknown = [name for name in sorted(names) if name.startswith(PREFIX) and not _is_known(name)]
    if complaints := [complaint for name in unknown if (complaint := _complaint(name))]:
        raise ConfigError("; ".join(complaints))


def _is_known(name: str) -> bool:
    """Also below a section: what is wrong there is said of its key."""
    first = name.removeprefix(PREFIX).split("__")[0].lower()
    return name in _SETTINGS or first in RunSpecification.model_fields or bool(_LINK.fullmatch(name))


def _complaint(name: str) -> str:
    words = name.removeprefix(PREFIX)
    if "__" in words:
        near = [variable_of(key) for key in near_keys(RunSpecification, words.lower().replace("__", "."))]
    else:
        like = difflib.get_close_matches(words, _BY_WORDS, n=MOST_NEAR, cutoff=LEAST_LIKENESS)
        near = [_BY_WORDS[other] for other in like]
    if near:
        return f"{name}: unknown variable; did you mean {' or '.join(near)}? correct or unset it"
    sections = ", ".join(sorted(map(str.upper, RunSpecification.model_fields)))
    return f"{name}: unknown variable; first parts are {sections}; correct or unset it" if "__" in words else ""
