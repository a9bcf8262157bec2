"""Claims cannot be changed: an upgrade that would is refused before anything is done, with the way out."""

import helm_python
import pytest

from tests.deploy.copies import with_bug
from tests.deploy.releases import Release, fresh
from tests.deploy.rendering import render

SECTIONS = {"parameterServer": "parameter-server", "replay": "replay", "valkey": "valkey"}


@pytest.mark.parametrize("section", SECTIONS)
def test_changed_size_is_refused_with_the_way_out(release: Release, section: str):
    release.install()
    claim = f"data-adql-{SECTIONS[section]}-0"
    before = dict(release.server.objects)
    with pytest.raises(helm_python.HelmError) as refused:
        release.upgrade(f"{section}.persistence.size=9Gi")
    said = str(refused.value)
    for words in (f"{section}.persistence.size", claim, "9Gi", "kubectl -n training patch pvc", "--cascade=orphan"):
        assert words in said
    assert release.server.objects == before


def test_changed_class_is_refused_with_the_way_out(release: Release):
    release.install("replay.persistence.storageClass=slow")
    with pytest.raises(helm_python.HelmError) as refused:
        release.upgrade("replay.persistence.storageClass=fast")
    for words in (
        "replay.persistence.storageClass",
        "data-adql-replay-0",
        "slow",
        "fast",
        "kubectl -n training delete",
    ):
        assert words in str(refused.value)


@pytest.mark.parametrize(("former", "latter"), [("", "-"), ("-", ""), ("slow", ""), ("", "slow"), ("slow", "-")])
def test_default_class_none_and_a_name_are_three_classes(release: Release, former: str, latter: str):
    def values(given: str | None) -> dict:
        return {"replay": {"persistence": {"storageClass": given}}}

    release.install(**values(former))
    release.upgrade(**values(former or None))
    with pytest.raises(helm_python.HelmError, match=f'made with class "{former}", not "{latter}"'):
        release.upgrade(**values(latter))


@pytest.mark.parametrize("size", ["1Gi", "1024Mi", "1048576Ki", "1073741824"])
def test_same_size_in_other_words_is_no_change(release: Release, size: str):
    release.install()
    release.upgrade(replay={"persistence": {"size": size}})


def test_changed_name_in_selectors_is_refused_with_the_way_out(release: Release):
    release.install()
    with pytest.raises(helm_python.HelmError) as refused:
        release.upgrade("nameOverride=dq")  # a part of the release's name, so that objects are called as before
    for words in ("nameOverride", "adql-parameter-server", '"adql", not "dq"', "set it back"):
        assert words in str(refused.value)


def test_class_may_be_the_clusters_default_none_or_a_name():
    found = [
        render({"replay": {"persistence": {"storageClass": given}}}).component("replay")["spec"]["volumeClaimTemplates"]
        for given in ("", "-", "fast")
    ]
    assert [claim["spec"].get("storageClassName") for (claim,) in found] == [None, "", "fast"]


def test_claims_outlive_an_uninstall():
    for one in render().of("StatefulSet").values():
        policy = one["spec"].get("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain"})
        assert policy["whenDeleted"] == "Retain" and policy.get("whenScaled", "Retain") == "Retain"


def test_planted_bug_lets_a_changed_size_through(tmp_path):
    chart = with_bug(tmp_path, "templates/statefulsets.yaml", '{{- include "adql.checkClaim" $context }}\n', "")
    with fresh(chart) as release:
        release.install()
        release.upgrade("replay.persistence.size=9Gi")  # what the API server would refuse, and not say what to do
