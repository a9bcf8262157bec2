"""What values may be: wrong ones are refused by name, impossible ones with the way out, and each one does something."""

import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from adql.config import RunSpecification, specification_from
from tests.deploy.copies import copied
from tests.deploy.features import DIGEST, EVERYTHING, FEATURES
from tests.deploy.releases import Release
from tests.deploy.rendering import CHART, Object, Rendered, merged, render, texts, values_of
from tests.readme import blocks
from tools.chart.__main__ import main as generate
from tools.chart.comments import at, has
from tools.chart.schema import RUN

TREE = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
NUMBERS = json.loads((CHART / "files" / "numbers.json").read_text(encoding="utf-8"))


def refusal(values: dict[str, Any]) -> str:
    """What Helm says against ``values``."""
    with pytest.raises(helm_python.HelmError) as refused:
        render(values)
    return str(refused.value)


@pytest.mark.parametrize(
    ("assignment", "place", "key"),
    [
        ("learner.replicas=3", "/learner", "replicas"),
        ("image.learner.tags=3", "/image/learner", "tags"),
        ("learnr.replicaCount=3", "", "learnr"),
        ("learner.resources.limit.memory=1Gi", "/learner/resources", "limit"),
        ("run.algorithm.gama=0.9", "/run/algorithm", "gama"),
        ("run.learner.count=3", "/run", "learner"),
        ("metrics.serviceMonitor.labels.release=x", "/metrics/serviceMonitor", "labels"),
    ],
)
def test_unknown_key_is_refused_by_name(assignment: str, place: str, key: str):
    assert f"at '{place}': additional properties '{key}' not allowed" in refusal(values_of(assignment))


@pytest.mark.parametrize(
    ("assignment", "place"),
    [
        ("learner.replicaCount=-1", "/learner/replicaCount"),
        ("learner.replicaCount=2.5", "/learner/replicaCount"),
        ("learner.role=acter", "/learner/role"),
        ("image.service.digest=sha256:12", "/image/service/digest"),
        ("auth.enabled=no", "/auth/enabled"),
        ("replay.persistence.size=1 GB", "/replay/persistence/size"),
        ("logFormat=xml", "/logFormat"),
        ("valkey.rewriteMinSize=", "/valkey/rewriteMinSize"),
        ("redis.external.url=http://x", "/redis/external/url"),
        ("run.update.rule=mean", "/run/update/rule"),
        ("run.algorithm.gamma=2", "/run/algorithm/gamma"),
        ("commonLabels.a=1", "/commonLabels/a"),
        ("autoscaling.minReplicas=0", "/autoscaling/minReplicas"),
        ("controller.minReplicas=0", "/controller/minReplicas"),
        ("controller.intervalSeconds=0", "/controller/intervalSeconds"),
    ],
)
def test_wrong_value_is_refused_by_its_key(assignment: str, place: str):
    assert f"at '{place}'" in refusal(values_of(assignment))


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("run.algorithm.gamma=2", "at '/run/algorithm/gamma': maximum: got 2, want 1"),
        ("run.algorithm.gamma=1.5", "run.algorithm.gamma is 1.5, and has to be at most 1"),
        ("run.algorithm.gamma=high", 'run.algorithm.gamma is "high", and has to be a number such as 0.5'),
        ("run.training.goal=1e400", 'run.training.goal is "1e400", and has to be a number such as 0.5'),
        ("run.algorithm.gamma=.5", 'run.algorithm.gamma is ".5", and has to be a number such as 0.5'),
        ("run.algorithm.batch_size=0", "at '/run/algorithm/batch_size': minimum: got 0, want 1"),
        ("run.algorithm.learning_rate=0.0", "run.algorithm.learning_rate is 0.0, and has to be more than 0"),
        ("run.algorithm.optimizer.beta1=1.0", "run.algorithm.optimizer.beta1 is 1.0, and has to be less than 1"),
        ("run.algorithm.target.tau=10e-1", ""),
        ("run.durability.lease_seconds=0.05", "run.durability.lease_seconds is 0.05, and has to be at least 0.1"),
        ("run.exploration.epsilon=7", "at '/run/exploration/epsilon': maximum: got 7, want 1"),
        ("run.replay.samples_per_insert=-1", "at '/run/replay/samples_per_insert': exclusiveMinimum: got -1, want 0"),
        ("run.training.goal=high", 'run.training.goal is "high", and has to be a number such as 0.5'),
        ("run.environment.max_episode_steps=0", "at '/run/environment/max_episode_steps': minimum: got 0, want 1"),
        ("learner.replicaCount=-1", "at '/learner/replicaCount': minimum: got -1, want 0"),
        ("controller.intervalSeconds=0.0", "controller.intervalSeconds is 0.0, and has to be more than 0"),
        ("controller.coolDownSeconds=0.5", ""),
    ],
)
def test_number_out_of_its_bounds_is_refused_in_one_line_with_key_value_and_bound(assignment: str, said: str):
    """Written into a file or given to ``--set``, which makes texts of fractions."""
    if not said:
        render(values_of(assignment))
        return
    (line,) = [line for line in refusal(values_of(assignment)).splitlines() if line.startswith("- ") or "error" in line]
    assert line.endswith(said)


def test_texts_are_held_to_the_same_bounds_as_numbers():
    for key, bounds in NUMBERS.items():
        for word, bound in bounds.items():
            just = bound if word.startswith("exclusive") else bound + (1e-6 if word == "maximum" else -1e-6)
            complete = nested(key.replace(".final", ".initial"), 0.5)  # a schedule has a start
            assert f"at '/{key.replace('.', '/')}': {word}" in refusal(merged(complete, nested(key, just)))
            assert f"{key} is {just:f}, and has to be" in refusal(merged(complete, nested(key, f"{just:f}")))


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (("redis.external.url=redis://x",), ("valkey.enabled", "redis.external.url", "valkey.enabled=false")),
        (("valkey.enabled=false",), ("valkey.enabled is false", "redis.external.url", "set one of them")),
        (("run.network.kind=nature",), ("run.network.kind nature", "PyTorch", "adql/learner-torch")),
        (("autoscaling.enabled=true", "controller.enabled=true"), ("/controller/enabled", "must be false")),
        (("controller.enabled=true",), ("networkPolicy.apiServer.cidrs", "kubectl get endpointslice", "enabled=false")),
        (
            ("controller.enabled=true", "controller.minReplicas=9", "networkPolicy.enabled=false"),
            ("controller.minReplicas 9", "controller.maxReplicas 8", "raise"),
        ),
        (
            ("autoscaling.enabled=true", "autoscaling.minReplicas=9"),
            ("autoscaling.minReplicas 9", "autoscaling.maxReplicas 8", "raise"),
        ),
        (
            ("controller.enabled=true", "networkPolicy.enabled=false", "controller.serviceAccount.create=false"),
            ("service account default is not its own", "controller.serviceAccount.create=true"),
        ),
        (
            ("controller.enabled=true", "networkPolicy.enabled=false", "serviceAccount.name=adql-controller"),
            ("service account adql-controller is not its own", "controller.serviceAccount.name"),
        ),
        (
            ("valkey.enabled=false", "redis.external.url=redis://user:secret@store:6379/0"),
            ("redis.external.url holds a password", "redis.external.existingSecret"),
        ),
        (
            ("actor.strategy.rollingUpdate.maxUnavailable=0%",),
            ("actor.strategy.rollingUpdate", "maxSurge and maxUnavailable are both 0", "raise one"),
        ),
        (
            ("replay.preStopSleepSeconds=60",),
            ("replay.preStopSleepSeconds 60", "replay.terminationGracePeriodSeconds 60", "raise the latter"),
        ),
        (("actor.enabled=true", "learner.role=actor"), ("actor.enabled", "nobody learns", "learner.role=learner")),
        (("valkey.rewriteMinSize=64mb",), ("valkey.rewriteMinSize 64mb is less than 256mb", "raise it")),
        (("valkey.rewriteMinSize=4gb",), ("rewriteMinSize 4gb does not fit into valkey.persistence.size 2Gi", "raise")),
        (("valkey.image.tag=",), ("valkey.image.tag and valkey.image.digest are both empty", "set one of them")),
        (("valkey.maxmemory=300mb",), ("maxmemory 300mb does not fit into", "limits.memory 256Mi", "lower")),
    ],
)
def test_impossible_combination_is_refused_with_the_way_out(assignments: tuple[str, ...], words: tuple[str, ...]):
    said = refusal(values_of(*assignments))
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("path", "place", "key"),
    [
        ("auth.enabled", "/auth", "enabled"),
        ("networkPolicy.enabled", "/networkPolicy", "enabled"),
        ("evaluator", "", "evaluator"),
        ("learner.strategy", "/learner", "strategy"),
        ("replay.persistence.size", "/replay/persistence", "size"),
        ("image.learner.repository", "/image/learner", "repository"),
        ("run", "", "run"),
    ],
)
def test_null_is_no_value_of_what_cannot_be_missing(path: str, place: str, key: str):
    assert f"at '{place}': missing property '{key}'" in refusal(nested(path, None))


def test_way_out_of_an_impossible_combination_is_one():
    render(values_of("redis.external.url=redis://x", "valkey.enabled=false"))
    render(values_of("run.network.kind=nature", "image.learner.repository=adql/learner-torch"))
    render(values_of("run.network.kind=minatar"))
    render(values_of("run.network.kind=nature", "image.learner.repository=example.org/mine"))
    render(values_of("valkey.image.tag=", f"valkey.image.digest={DIGEST}"))
    render(values_of("valkey.image.tag=", "valkey.enabled=false", "redis.external.url=redis://store"))
    render(values_of("valkey.enabled=false", "redis.external.url=redis://user@store:6379/0"))


@pytest.mark.parametrize("document", ["README.md", "README.zh.md", "charts/adql/README.md"])
def test_documents_tell_to_set_what_is_accepted(document: str):
    lines = "".join(blocks(document, "sh")).replace("\\\n", " ").splitlines()
    told = [shlex.split(line, comments=True) for line in lines if line.startswith("helm ") and "--set" in line]
    assert told
    for words in told:
        render(values_of(*(value for flag, value in pairwise(words) if flag == "--set")))


OPEN = {"run.environment.kwargs"}
"""Keys of others: what an environment takes."""


def open_places(schema: Any, path: str = "") -> set[str]:
    """Objects in a schema that take any key and any value, below ``path``."""
    if "$ref" in schema:
        return open_places(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], path)
    found = {path} if "object" in schema.get("type", "") and schema.get("additionalProperties", True) is True else set()
    for name, part in schema.get("properties", {}).items():
        found |= open_places(part, f"{path}.{name}".lstrip("."))
    for part in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])):
        found |= open_places(part, path)
    return found


def test_schema_is_closed_but_for_objects_of_kubernetes_and_of_environments():
    kubernetes = {
        *("affinity", "tolerations", "topologySpreadConstraints", "extraVolumes", "extraVolumeMounts", "extraEgress"),
        *("valueFrom", "claims", "extraObjects", "egress", "to", "from", "behavior"),
    }
    found = open_places(SCHEMA)
    assert {path for path in found - OPEN if path.rpartition(".")[2] not in kubernetes} == set()
    assert found >= OPEN


def test_every_setting_of_a_run_is_known_to_the_schema():
    texts({"run": RunSpecification().model_dump(mode="json")})
    assert set(SCHEMA["properties"]["run"]["properties"]) == set(RunSpecification.model_fields)


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"training": {"environment_steps": 50_000_000, "goal": None}, "replay": {"capacity_bytes": 4_294_967_296}},
        {"algorithm": {"learning_rate": 0.00025, "optimizer": {"epsilon": 1e-8}}},
        {"environment": {"id": "ale_py:ALE/Pong-v5", "kwargs": {"frameskip": 4, "mode": None}, "allow": ["ale_py"]}},
        {"run": {"name": "007", "seed": 2_147_483_647}},
    ],
)
def test_run_arrives_as_it_was_written(run: dict):
    text = render({"run": run}).the("ConfigMap", "adql-run")["data"]["run.yaml"]
    written = merged({"environment": {"id": "CartPole-v1"}}, run)
    assert specification_from(yaml.safe_load(text)) == specification_from(written)


def test_fractions_may_be_set_on_the_command_line():
    fractions = ("algorithm.gamma=0.95", "algorithm.learning_rate=2.5e-4", "training.goal=-110.5", "update.weight=0.5")
    texts_alone = ("run.name=1e5", "environment.kwargs.version=1.0")
    words = [f"run.{word}" for word in (*fractions, *texts_alone, "training.environment_steps=50000000")]
    text = render(values_of(*words)).the("ConfigMap", "adql-run")["data"]["run.yaml"]
    run = specification_from(yaml.safe_load(text))
    assert (run.algorithm.gamma, run.algorithm.learning_rate.initial, run.training.goal) == (0.95, 2.5e-4, -110.5)
    assert (run.update.weight, run.training.environment_steps) == (0.5, 50_000_000)
    assert (run.run.name, run.environment.kwargs) == ("1e5", {"version": "1.0"})


def leaves(tree: dict[str, Any], schema: dict[str, Any], above: str = "") -> dict[str, dict[str, Any]]:
    """Every key that the schema knows by itself, with its schema; a run is one of them."""
    found = {}
    for name in tree:
        path, part = f"{above}{name}", schema["properties"][name]
        if path != RUN and isinstance(tree[name], dict) and "properties" in part and "resources" not in path:
            found |= leaves(tree[name], part, f"{path}.")
        else:
            found[path] = part
    return found


LEAVES = leaves(TREE, SCHEMA)
OTHER: dict[str, Any] = {
    "digest": DIGEST,
    "size": "7Gi",
    "maxSurge": 3,
    "maxUnavailable": 4,
    "interval": "7s",
    "url": "redis://other:6379/0",
    "maxmemory": "77mb",
    "rewriteMinSize": "777mb",
    "cidrs": ["10.7.7.7/32"],
    "resources": {"limits": {"memory": "777Mi"}},
    "nameOverride": "other",
    "fullnameOverride": "other",
    "prometheusAddress": "http://other",
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}],
    "extraEnv": [{"name": "OTHER", "value": "x"}],
    "imagePullSecrets": ["other"],
    "run": {"run": {"name": "other"}},
}
"""Another valid value, where the schema does not suggest one."""


def another(path: str, schema: dict[str, Any]) -> Any:
    """Returns a valid value that differs from the default of ``path``."""
    name, default = path.rpartition(".")[2], at(TREE, path) if has(TREE, path) else None
    if name in OTHER:
        return OTHER[name]
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 3
    if isinstance(default, str):
        return "other"
    return [{"other": "x"}] if isinstance(default, list) else {"other": "x"}


KNOWN = {"auth": {"existingSecret": "tokens"}, "valkey": {"existingSecret": "store"}}
"""No generated secret, so that two renderings differ only by what was changed."""
BASES = [
    *(merged(EVERYTHING[name], KNOWN) for name in EVERYTHING),
    KNOWN,
    merged({"networkPolicy": {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}}}, KNOWN),
    merged(KNOWN, FEATURES["external store"]),
    merged(KNOWN, {"serviceAccount": {"create": False}}),
    merged(KNOWN, FEATURES["actors"]),
    merged(KNOWN, FEATURES["controller"]),
    merged(KNOWN, FEATURES["controller"], {"controller": {"serviceAccount": {"name": "mine"}}}),
    merged(KNOWN, {"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1/32"]}}}),
]
UNUSED = {
    "auth.rotation": "rotates what the chart has generated; tests/deploy/test_secrets.py shows it",
    "valkey.enabled": "is changed together with redis.external.url alone; one of the features",
}
"""Values that change nothing here, and why."""


def without_use(chart: Path, schemas: dict[str, Any]) -> list[str]:
    """Returns the keys that change nothing, whatever else is set."""
    before = [(base, texts(base, chart=chart)) for base in BASES]
    used = (
        any(changes(chart, base, then, nested(path, another(path, schema))) for base, then in before)
        for path, schema in schemas.items()
    )
    return [path for path, one in zip(schemas, used, strict=True) if not one]


def changes(chart: Path, base: dict[str, Any], before: dict[str, str], change: dict[str, Any]) -> bool:
    try:
        return texts(merged(base, change), chart=chart) != before
    except helm_python.HelmError as error:
        assert "meet the specifications" not in str(error) or "must be false" in str(error), error
        return False  # the change and this base exclude each other


def without_secrets(rendered: Rendered) -> list[Object]:
    return [found for found in rendered.objects if found["kind"] != "Secret"]


def test_null_is_nothing_where_the_default_is_nothing_or_a_list(release: Release):
    """As in Helm, where it takes a default away; on an upgrade as well, which looks at what there is."""
    defaults = {path: at(TREE, path) for path in LEAVES}
    lists = [path for path, default in defaults.items() if isinstance(default, list)]
    empty = [path for path, default in defaults.items() if default in ("", {})]
    nothing = merged(*(nested(path, None) for path in lists + empty))
    without = merged(*(nested(path, []) for path in lists))
    base = merged(FEATURES["prometheus operator"], FEATURES["actors"], {"autoscaling": {"enabled": True}})
    assert without_secrets(render(merged(nothing, base))) == without_secrets(render(merged(without, base)))
    installed = release.install(**without)
    assert release.upgrade(**nothing).objects == installed.objects


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def test_every_value_changes_something(chart_with_dashboards):
    assert set(without_use(chart_with_dashboards, LEAVES)) == set(UNUSED)


@pytest.fixture(scope="module")
def chart_with_dashboards(tmp_path_factory) -> Path:
    """A chart that certainly has a dashboard and a rule."""
    return copied(tmp_path_factory.mktemp("chart"), rules__a_yaml="groups: []\n", dashboards__a_json="{}\n")


def test_planted_value_that_nothing_reads_is_seen(tmp_path):
    chart = copied(tmp_path)
    values = chart / "values.yaml"
    text = values.read_text(encoding="utf-8")
    values.write_text(text + "## @param another Read by nothing\nanother: 1\n", encoding="utf-8")
    assert generate([str(chart)]) == 0
    assert without_use(chart, {"another": {"enum": [2]}, "logFormat": LEAVES["logFormat"]}) == ["another"]
