"""YAML as people write it: a number may have an exponent without a point, ``1e5``, as in YAML 1.2."""

import re
from typing import Any

import yaml

EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+\Z")


class _Loader(yaml.SafeLoader):
    """Reads ``1e5`` as a number, and refuses a key that comes twice: one of its values would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Called for every mapping."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} comes twice in the mapping of line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


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
