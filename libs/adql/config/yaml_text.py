"""YAML as people write it: as in YAML 1.2, ``1e5`` is a number, ``12:30`` is none and ``010`` is not eight."""

import re
from collections.abc import Callable
from typing import Any

import yaml

EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+\Z")
OF_YAML_1_1 = re.compile(r":|^[-+]?0[0-9_]+\Z")
"""Numbers to the base of 60 or 8."""


class _Loader(yaml.SafeLoader):
    """Reads ``1e5`` as a number, and refuses a key that comes twice: one of its values would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Called for every mapping."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} comes twice in the mapping of line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _number(construct: Callable[[_Loader, yaml.ScalarNode], Any]) -> Callable[[_Loader, yaml.ScalarNode], Any]:
    def number_or_text(loader: _Loader, node: yaml.ScalarNode) -> Any:
        return node.value if OF_YAML_1_1.search(node.value) else construct(loader, node)

    return number_or_text


_Loader.add_constructor("tag:yaml.org,2002:int", _number(_Loader.construct_yaml_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _number(_Loader.construct_yaml_float))


class _Dumper(yaml.SafeDumper):
    """Quotes a text that looks like ``1e5``."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def read(text: str) -> Any:
    """Returns the value that ``text`` is.

    Raises:
        yaml.YAMLError: it is none.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # of a value that contradicts its own tag
        raise yaml.YAMLError(str(error)) from None


def write(value: Any, **style: Any) -> str:
    """Returns ``value`` in a form that reads back equal."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, **style)
    return text
