"""YAML as people write it: a number may have an exponent without a point, ``1e5``, as in YAML 1.2."""

import re
from typing import Any

import yaml

EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+\Z")


class _Loader(yaml.SafeLoader):
    """Reads ``1e5`` as a number."""


class _Dumper(yaml.SafeDumper):
    """Quotes a text that looks like ``1e5``."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def read(text: str) -> Any:
    """Returns the value that ``text`` is.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, Loader=_Loader)


def write(value: Any, **style: Any) -> str:
    """Returns ``value`` in a form that reads back equal."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, **style)
    return text
