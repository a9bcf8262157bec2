"""Names, labels and selectors: what never changes, and what belongs to which release."""

import helm_python
import pytest

from tests.deploy.copies import copied, with_bug
from tests.deploy.features import CASES, EVERYTHING, FEATURES
from tests.deploy.rendering import CHART, COMPONENTS, Object, Rendered, loaded, merged, objects_in, render
from tests.deploy.validation import CUSTOM, VERSIONS, complaints

IDENTITY = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
STANDARD = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "part-of", "managed-by")}


def immutable(rendered: Rendered) -> dict[str, Object]:
    """What Kubernetes lets nobody change of a workload."""
    fields = ("selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy")
    workloads = rendered.of("Deployment") | rendered.of("StatefulSet")
    return {name: {field: one["spec"].get(field) for field in fields} for name, one in workloads.items()}


@pytest.mark.parametrize("feature", CASES)
def test_selectors_and_claims_carry_name_instance_and_component_alone(feature: str):
    for name, one in immutable(render(CASES[feature])).items():
        assert set(one["selector"]["matchLabels"]) == IDENTITY, name
        for claim in one["volumeClaimTemplates"] or ():
            assert set(claim["metadata"]["labels"]) == IDENTITY and "annotations" not in claim["metadata"], name


def test_upgrade_over_versions_and_common_labels_changes_nothing_immutable(tmp_path):
    chart = copied(tmp_path)
    text = (chart / "Chart.yaml").read_text(encoding="utf-8")
    next_one = text.replace("version: 0.1.0", "version: 0.2.0").replace('appVersion: "0.1.0"', 'appVersion: "0.3.0"')
    assert next_one.count("0.1.0") == 0
    (chart / "Chart.yaml").write_text(next_one, encoding="utf-8")
    after = render(FEATURES["common labels and annotations"], chart=chart)
    assert immutable(after) == immutable(render())
    assert after.component("learner")["metadata"]["labels"]["app.kubernetes.io/version"] == "0.3.0"


def test_planted_version_in_a_selector_is_seen(tmp_path):
    right = "app.kubernetes.io/component: {{ .component }}\n"
    chart = with_bug(tmp_path, "templates/_names.tpl", right, f"{right}helm.sh/chart: adql\n")
    assert immutable(render(chart=chart)) != immutable(render())


@pytest.mark.parametrize("feature", [name for name in CASES if "extra" not in name and "everything" not in name])
def test_every_object_carries_the_standard_labels_and_the_namespace(feature: str):
    for found in render(CASES[feature]).objects:
        assert set(found["metadata"]["labels"]) >= STANDARD, found["metadata"]["name"]
        assert found["metadata"]["namespace"] == "training", found["metadata"]["name"]


def test_common_labels_and_annotations_are_on_every_object_and_the_labels_on_every_pod():
    rendered = render(FEATURES["common labels and annotations"])
    for found in rendered.objects:
        assert found["metadata"]["labels"]["example.org/team"] == "rl", found["metadata"]["name"]
        assert found["metadata"]["annotations"]["example.org/cost"] == "42", found["metadata"]["name"]
    assert all(pod["metadata"]["labels"]["example.org/team"] == "rl" for _, pod in rendered.pods())


@pytest.mark.parametrize("feature", CASES)
def test_every_selector_selects_the_pods_of_its_component_and_no_others(feature: str):
    rendered = render(CASES[feature])
    pods = {name: pod["metadata"]["labels"] for name, pod in rendered.pods()}
    for kind in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
        for name, one in rendered.of(kind).items():
            selector = one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
            assert [pod for pod, labels in pods.items() if selector.items() <= labels.items()] == [name], kind


def test_headless_services_answer_for_pods_that_are_not_ready():
    for name, one in render().of("Service").items():
        assert one["spec"]["clusterIP"] == "None" and one["spec"]["publishNotReadyAddresses"] is True, name
    for name, one in render().of("StatefulSet").items():
        assert one["spec"]["serviceName"] == name and name in render().of("Service")


def test_clients_find_the_servers_under_the_names_of_the_services():
    rendered = render()
    for component, server, port in (("learner", "parameter-server", 8420), ("learner", "replay", 8430)):
        (container,) = rendered.component(component)["spec"]["template"]["spec"]["containers"]
        variable = f"ADQL_{server.upper().replace('-', '_')}_URL"
        (url,) = [one["value"] for one in container["env"] if one["name"] == variable]
        assert url == f"http://adql-{server}:{port}"
        assert port in [one["port"] for one in rendered.the("Service", f"adql-{server}")["spec"]["ports"]]


@pytest.mark.parametrize(
    ("release", "values", "prefix"),
    [
        ("adql", {}, "adql"),
        ("mine", {}, "mine-adql"),
        ("mine", {"nameOverride": "q"}, "mine-q"),
        ("mine", {"fullnameOverride": "whole"}, "whole"),
        ("a" * 53, {}, f"{'a' * 28}-291f91"),
    ],
)
def test_names_begin_with_the_release(release: str, values: dict, prefix: str):
    rendered = render(values, release=release)
    names = [found["metadata"]["name"] for found in rendered.objects]
    assert all(name.startswith(prefix) for name in names)
    assert set(names) >= {f"{prefix}-{component}" for component in COMPONENTS}
    assert max(map(len, names)) <= 63
    # Pods of a StatefulSet carry its name and a hash in one label of at most 63 characters.
    assert max(map(len, rendered.of("StatefulSet"))) <= 63 - len("-0123456789")


def test_long_names_that_differ_at_their_end_stay_apart():
    names = [{one["metadata"]["name"] for one in render(release="a" * 50 + end).objects} for end in ("b", "c")]
    assert names[0].isdisjoint(names[1])


NAMED = {
    "auth": {"existingSecret": "123", "tokensKey": "on"},
    "serviceAccount": {"create": True, "name": "1e3"},
    "controller": {"serviceAccount": {"create": False, "name": "456"}},
}


@pytest.mark.parametrize("text", ["123", "1e3", "0x10", "true", "on", "null"])
@pytest.mark.parametrize("everything", EVERYTHING)
def test_names_that_look_like_numbers_or_words_of_yaml_stay_texts(text: str, everything: str):
    prefix = text if text.isalpha() else "named"  # no Service begins with a digit
    names = {"nameOverride": text, "fullnameOverride": prefix, "valkey": {"existingSecret": text, "passwordKey": "yes"}}
    values = merged(EVERYTHING[everything], NAMED, names)
    made = loaded(CHART).render(values, name=text, namespace=text)
    found = [one for path, made_of_it in made.items() if "NOTES" not in path for one in objects_in(made_of_it)]
    known = [one for one in found if not one["apiVersion"].startswith(CUSTOM)]
    assert [complaint for one in known for complaint in complaints(one, VERSIONS[-1])] == []
    for one in found:
        assert one["metadata"].get("namespace", text) == text, one["metadata"]["name"]
    selected = [one["spec"]["selector"]["matchLabels"] for one in found if one["kind"] == "StatefulSet"]
    assert {labels[f"app.kubernetes.io/{key}"] for labels in selected for key in ("name", "instance")} == {text}


@pytest.mark.parametrize(
    ("release", "values"), [("1st", {}), ("my.release", {}), ("adql", {"fullnameOverride": "1st"})]
)
def test_name_that_no_service_may_have_is_refused_with_the_way_out(release: str, values: dict):
    with pytest.raises(helm_python.HelmError, match=r"Services would be called .* set fullnameOverride"):
        render(values, release=release)
    render({"fullnameOverride": "first"}, release=release)


def test_two_releases_in_one_namespace_share_no_object_and_no_pod():
    first, second = render(release="first"), render(release="second")
    names = [{(found["kind"], found["metadata"]["name"]) for found in one.objects} for one in (first, second)]
    assert names[0].isdisjoint(names[1])
    others = [pod["metadata"]["labels"] for _, pod in second.pods()]
    for one in (*first.of("Service").values(), *first.of("StatefulSet").values(), *first.of("NetworkPolicy").values()):
        spec = one["spec"]
        selector = spec.get("podSelector", spec.get("selector"))
        wanted = selector.get("matchLabels", selector)
        assert not any(wanted.items() <= labels.items() for labels in others), one["metadata"]["name"]
