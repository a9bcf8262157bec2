"""The chart rendered by Helm's own SDK, without a cluster, and its objects."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "adql"
NAMESPACE = "training"
COMPONENTS = ("parameter-server", "replay", "valkey", "learner", "evaluator")
"""With default values."""

Object = dict[str, Any]
Values = Mapping[str, Any]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads YAML and refuses a key that stands twice in one mapping, as the API server does."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"keys that stand twice: {sorted(twice)}, {node.start_mark}"
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def objects_in(text: str) -> list[Object]:
    """Returns the objects of a manifest."""
    return [found for found in yaml.load_all(text, Loader=_Loader) if found]


@dataclass(frozen=True)
class Rendered:
    """What one set of values makes."""

    objects: list[Object]
    notes: str

    def of(self, kind: str) -> dict[str, Object]:
        """Returns the objects of ``kind`` by name."""
        return {found["metadata"]["name"]: found for found in self.objects if found["kind"] == kind}

    def the(self, kind: str, name: str) -> Object:
        """Returns the one object of that kind and name."""
        return self.of(kind)[name]

    def component(self, name: str) -> Object:
        """Returns the Deployment or StatefulSet of a component of the release adql."""
        return (self.of("Deployment") | self.of("StatefulSet"))[f"adql-{name}"]

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Yields the name and the pod of every workload: metadata and spec."""
        for found in self.objects:
            if found["kind"] in ("Deployment", "StatefulSet"):
                yield found["metadata"]["name"], found["spec"]["template"]
            elif found["kind"] == "Pod":
                yield found["metadata"]["name"], found

    def containers(self) -> Iterator[tuple[str, Object]]:
        """Yields every container with the name of its workload."""
        for name, pod in self.pods():
            for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
                yield name, container


@cache
def loaded(chart: Path) -> helm_python.Chart:
    """Returns the chart, read once."""
    return helm_python.Chart.load(chart)


def texts(values: Values, *, release: str = "adql", chart: Path = CHART) -> dict[str, str]:
    """Returns what each template makes of ``values``, as text.

    Raises:
        helm_python.HelmError: the values are refused, by the schema or by a template.
    """
    return loaded(chart).render(dict(values), name=release, namespace=NAMESPACE)


def render(values: Values | None = None, *, release: str = "adql", chart: Path = CHART) -> Rendered:
    """Returns the objects and the notes that ``values`` make, rendered once: not to be changed."""
    return _rendered(json.dumps(values or {}), release, chart)


@cache
def _rendered(values: str, release: str, chart: Path) -> Rendered:
    return render_anew(json.loads(values), release=release, chart=chart)


def render_anew(values: Values | None = None, *, release: str = "adql", chart: Path = CHART) -> Rendered:
    """As ``render``, with secrets of its own."""
    made = texts(values or {}, release=release, chart=chart)
    notes = "".join(text for path, text in made.items() if path.endswith("NOTES.txt"))
    files = sorted(path for path in made if not path.endswith("NOTES.txt"))
    return Rendered([found for path in files for found in objects_in(made[path])], notes)


def values_of(*assignments: str) -> dict[str, Any]:
    """Returns values as ``--set`` makes them."""
    return merged(*(helm_python.parse_set_string(one) for one in assignments))


def merged(*layers: Values) -> dict[str, Any]:
    """Returns ``layers`` laid over each other, the last one on top."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            result[key] = merged(below, value) if isinstance(value, Mapping) and isinstance(below, dict) else value
    return result
