"""Whether Kubernetes would take an object: its own schemas, strictly, for each version that the chart is for."""

import json
from functools import cache
from typing import Any

import jsonschema
from kubernetes_validate.utils import all_versions, schema_contents
from referencing import Registry, Resource

from tests.deploy.rendering import Object

OLDEST = (1, 30)
VERSIONS = [version for version in all_versions() if tuple(map(int, version.split(".")[:2])) >= OLDEST]
CUSTOM = ("monitoring.coreos.com", "keda.sh")
"""Groups that Kubernetes does not know by itself."""


def complaints(found: Object, version: str) -> list[str]:
    """Returns what Kubernetes of ``version`` has against the object."""
    return _complaints(json.dumps(found, sort_keys=True), version)


@cache
def _complaints(text: str, version: str) -> list[str]:
    found = json.loads(text)
    errors = _validator(found["apiVersion"], found["kind"], version).iter_errors(found)
    return [f"{found['kind']} {found['metadata']['name']} {error.json_path}: {error.message}" for error in errors]


@cache
def _validator(api_version: str, kind: str, version: str) -> Any:
    group, _, name = api_version.rpartition("/")
    part = f"{group.split('.')[0]}-{name}" if group else name
    directory = f"kubernetes-json-schema/v{version}-local-strict"
    schema = schema_contents(f"{directory}/{kind.lower()}-{part}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=_definitions(directory, version))


@cache
def _definitions(directory: str, version: str) -> Registry:
    return Resource.from_contents(schema_contents(f"{directory}/_definitions.json", version)) @ Registry()
