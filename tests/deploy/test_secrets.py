"""Tokens and passwords: made once, kept, rotated, or brought by the user; and what makes pods roll."""

import base64
import re
from typing import Any

import pytest
import yaml

from tests.deploy.copies import with_bug
from tests.deploy.features import FEATURES
from tests.deploy.releases import Release, fresh
from tests.deploy.rendering import CHART, ROOT, Rendered, merged, render, render_anew, texts, values_of
from tests.readme import blocks

TOKENS, STORE = "adql-tokens", "adql-valkey"


def secret(release: Release, name: str, key: str) -> str:
    """What a live Secret holds."""
    return base64.b64decode(release.server.get("Secret", name)["data"][key]).decode()


def tokens(release: Release) -> list[str]:
    return secret(release, TOKENS, "tokens").split()


def test_first_install_makes_one_token_and_one_password_that_nobody_guesses(release: Release):
    release.install()
    (token,) = tokens(release)
    password = secret(release, STORE, "password")
    assert len(token) >= 40 and len(password) >= 40 and token != password
    with fresh() as other:
        other.install()
        assert tokens(other) != [token] and secret(other, STORE, "password") != password


def test_upgrade_keeps_token_and_password(release: Release):
    release.install()
    before = tokens(release), secret(release, STORE, "password")
    for _ in range(2):
        release.upgrade("logFormat=json")
        assert (tokens(release), secret(release, STORE, "password")) == before


def test_another_word_makes_a_new_token_and_keeps_the_former_as_second(release: Release):
    release.install()
    (first,) = tokens(release)
    release.upgrade("auth.rotation=one")
    second = tokens(release)
    assert second[1:] == [first] and second[0] != first
    release.upgrade("auth.rotation=one")
    assert tokens(release) == second
    release.upgrade("auth.rotation=2")
    third = tokens(release)
    assert third[1:] == second[:1] and third[0] not in second


def test_rollback_brings_back_the_tokens_of_its_revision_and_two_more_words_put_them_out_of_use(release: Release):
    release.install()
    (first,) = tokens(release)
    release.upgrade("auth.rotation=one")
    release.rollback(1)
    assert tokens(release) == [first]
    release.upgrade("auth.rotation=two")
    assert first in tokens(release)[1:]
    release.upgrade("auth.rotation=three")
    assert first not in tokens(release)


@pytest.mark.parametrize("document", ["README.md", "README.zh.md", "charts/adql/README.md"])
def test_documents_that_explain_rotation_say_what_a_rollback_brings_back(document: str):
    told = (ROOT / document).read_text(encoding="utf-8").partition("`auth.rotation`")[2]
    assert "`helm rollback`" in told[:300]


def test_rotation_leaves_the_pods_and_the_password_alone(release: Release):
    before, password = release.install(), secret(release, STORE, "password")
    after = release.upgrade("auth.rotation=one")
    assert dict(after.pods()) == dict(before.pods())
    assert secret(release, STORE, "password") == password


def test_tokens_that_somebody_wrote_by_hand_are_kept(release: Release):
    release.install()
    release.server.get("Secret", TOKENS)["data"]["tokens"] = base64.b64encode(b"mine\nother\n").decode()
    release.upgrade()
    assert tokens(release) == ["mine", "other"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            '(eq $word (dig "metadata" "annotations" "adql/rotation" "" $live))',
            "false",
        ),
        ('(splitList "\\n" . | first)', '(splitList "\\n" . | last)'),
        ('dig "data" "password" "" $live', 'dig "data" "pasword" "" $live'),
    ],
)
def test_planted_bug_loses_a_secret(tmp_path, right: str, wrong: str):
    with fresh(with_bug(tmp_path, "templates/_secrets.tpl", right, wrong)) as release:
        release.install()
        (first,), password = tokens(release), secret(release, STORE, "password")
        release.upgrade()
        kept = tokens(release) == [first] and secret(release, STORE, "password") == password
        release.upgrade("auth.rotation=one")
        assert not (kept and tokens(release)[1:] == [first])


def test_secrets_of_the_user_are_mounted_and_none_is_made():
    rendered = render(FEATURES["existing secrets"])
    assert rendered.of("Secret") == {}
    server = rendered.component("parameter-server")["spec"]["template"]
    volumes = {volume["name"]: volume.get("secret") for volume in server["spec"]["volumes"]}
    assert volumes["tokens"]["secretName"] == "tokens"
    assert volumes["tokens"]["items"] == [{"key": "t", "path": "tokens"}]
    assert volumes["store"]["secretName"] == "store"
    assert volumes["store"]["items"] == [{"key": "p", "path": "password"}]


def test_two_renderings_with_secrets_of_the_user_are_identical():
    assert texts(FEATURES["existing secrets"]) == texts(FEATURES["existing secrets"])
    assert texts({}) != texts({})  # generated anew each time without a cluster: hence existingSecret


def test_what_the_readme_sets_where_no_cluster_is_asked_renders_the_same_each_time():
    (block,) = blocks("charts/adql/README.md", "yaml")
    values = merged(FEATURES["actors"], yaml.safe_load(block))
    assert texts(values) == texts(values)
    assert not any("replicas" in render(values).component(name)["spec"] for name in ("learner", "actor"))
    shell = "".join(blocks("charts/adql/README.md", "sh"))
    made = dict(re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", shell))
    for _, pod in render(values).pods():
        for volume in (one["secret"] for one in pod["spec"]["volumes"] if "secret" in one):
            assert [item["key"] for item in volume["items"]] == [made[volume["secretName"]]]


def test_claims_carry_the_label_that_the_readme_deletes_them_by():
    (selector,) = re.findall(r"delete pvc -l (\S+?)=adql`", (CHART / "README.md").read_text(encoding="utf-8"))
    for one in render().of("StatefulSet").values():
        assert one["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"][selector] == "adql"


def test_password_of_an_external_store_is_that_of_the_user():
    rendered = render(FEATURES["external store"])
    assert set(rendered.of("Secret")) == {TOKENS}
    server = rendered.component("parameter-server")["spec"]["template"]["spec"]
    (volume,) = [one["secret"] for one in server["volumes"] if one["name"] == "store"]
    assert (volume["secretName"], volume["items"][0]["key"]) == ("redis", "password")
    environment = {one["name"]: one["value"] for one in server["containers"][0]["env"]}
    assert environment["ADQL_REDIS_URL"] == "rediss://adql@redis.example.org:6380/0"
    assert environment["ADQL_REDIS_PASSWORD_FILE"] == "/run/secrets/store/password"


def test_external_store_without_a_password_has_no_file_for_it():
    rendered = render(values_of("valkey.enabled=false", "redis.external.url=redis://x:6379/0"))
    server = rendered.component("parameter-server")["spec"]["template"]["spec"]
    assert "store" not in [one["name"] for one in server["volumes"]]
    assert "ADQL_REDIS_PASSWORD_FILE" not in [one["name"] for one in server["containers"][0]["env"]]


def test_without_authentication_there_is_no_token_and_the_services_say_so():
    rendered = render(FEATURES["no authentication"])
    assert set(rendered.of("Secret")) == {STORE}
    for name, container in rendered.containers():
        variables = {one["name"]: one.get("value") for one in container.get("env", ())}
        assert "ADQL_TOKEN_FILE" not in variables, name
        assert variables.get("ADQL_AUTH") == ("false" if name != STORE else None)


def checksums(rendered: Rendered) -> dict[str, Any]:
    return {name: pod["metadata"].get("annotations", {}).get("checksum/config") for name, pod in rendered.pods()}


def test_pods_roll_when_the_run_changes_and_not_when_secrets_are_made_anew():
    before = checksums(render())
    assert before == checksums(render_anew()) and before["adql-valkey"] is None
    after = checksums(render(values_of("run.training.environment_steps=5000")))
    assert [name for name in before if before[name] != after[name]] == [
        name for name in before if name not in (STORE, "adql-test")
    ]


@pytest.mark.parametrize(
    ("assignment", "rolled"),
    [
        ("learner.podLabels.a=b", {"adql-learner"}),
        ("replay.resources.limits.memory=2Gi", {"adql-replay"}),
        ("auth.rotation=one", set()),
        ("networkPolicy.enabled=true", set()),
        ("metrics.serviceMonitor.enabled=true", set()),
        ("learner.podDisruptionBudget.enabled=false", set()),
        ("autoscaling.enabled=true", set()),
        ("learner.replicaCount=5", set()),
        ("valkey.maxmemory=100mb", {"adql-valkey"}),
    ],
)
def test_upgrade_rolls_only_what_must_roll(assignment: str, rolled: set[str]):
    before, after = dict(render().pods()), dict(render(values_of(assignment)).pods())
    assert {name for name in before if before[name] != after[name]} == rolled
