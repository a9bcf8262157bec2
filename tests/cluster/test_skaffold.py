"""skaffold.yaml: what its schema and skaffold itself say of it, and that its profile dev takes a changed file."""

import json
import os
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cluster.commands import ROOT, TAG, run
from tests.waiting import wait_until

MODULE, SCHEMAS = "github.com/GoogleContainerTools/skaffold/v2@v2.16.1", "docs-v2/content/en/schemas"
FILE = yaml.safe_load((ROOT / "skaffold.yaml").read_text(encoding="utf-8"))
(DEV,) = FILE["profiles"]


def test_file_is_what_its_published_schema_describes():
    folder = json.loads(run("go", "mod", "download", "-json", MODULE))["Dir"]
    version = FILE["apiVersion"].partition("/")[2]
    schema = json.loads(Path(folder, SCHEMAS, f"{version}.json").read_text(encoding="utf-8"))
    jsonschema.validate(FILE, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(FILE | {"biuld": {}}, schema)


@pytest.mark.skipif(not shutil.which("skaffold"), reason="skaffold is not installed; the schema was checked")
@pytest.mark.parametrize("profile", [(), ("--profile", "dev")])
def test_skaffold_itself_reads_it(profile):
    said = run("env", "SKAFFOLD_UPDATE_CHECK=false", "skaffold", "diagnose", "--yaml-only", *profile)
    assert ("target: dev" in said) == bool(profile)


@pytest.mark.parametrize("artifacts", [FILE["build"]["artifacts"], DEV["build"]["artifacts"]])
def test_targets_are_stages_of_the_dockerfile(artifacts):
    stages = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    assert [one["image"] for one in artifacts] == ["adql/service", "adql/learner"]
    assert all(f" AS {one['docker']['target']}\n" in stages for one in artifacts)


@pytest.fixture
def container():
    """The image of the profile dev as a pod would run it, and its service."""
    image = f"adql/dev:{TAG}"
    run("docker", "build", "--quiet", "--file", "docker/Dockerfile", "--target", "dev", "--tag", image, str(ROOT))
    words = ("--read-only", "--tmpfs", "/tmp:uid=10001", "--cap-drop", "ALL", "--env", "ADQL_AUTH=false")
    found = run("docker", "run", "--detach", *words, image, "parameter-server").strip()
    yield found
    run("docker", "rm", "--force", found)
    run("docker", "image", "rm", image)


def test_changed_file_reaches_a_service_that_starts_anew_with_it(container, tmp_path):
    def logs():
        return run("sh", "-c", f"docker logs {container} 2>&1")

    wait_until(lambda: "waiting for the weight store" in logs(), 60, logs)
    (manual,) = [one for one in DEV["build"]["artifacts"][0]["sync"]["manual"] if one["src"].startswith("services/")]
    source = ROOT / "services/adql_services/parameter_server/main.py"
    changed = tmp_path / "main.py"
    changed.write_text(f'{source.read_text(encoding="utf-8")}\nprint("changed")\n', encoding="utf-8")
    place = Path(manual["dest"], os.path.relpath(source, ROOT / manual["strip"]))
    # As skaffold does: an archive into tar within the container.
    archive = (
        f"tar -C {tmp_path} -cf - main.py | docker exec -i {container} tar -C {place.parent} --no-same-owner -xmf -"
    )
    run("sh", "-c", archive)
    wait_until(lambda: logs().count("waiting for the weight store") == 2, 60, logs)
    assert "changed" in logs()
    run("docker", "stop", "--time", "10", container)
    assert json.loads(run("docker", "inspect", container))[0]["State"]["ExitCode"] in (0, 130, 143)
