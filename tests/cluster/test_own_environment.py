"""The README's own environment in an image of its own: actors act in it, a learner learns, and its goal is reached."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.commands import Helm, images, load_into_cluster, run
from tests.cluster.release import Release
from tests.readme import blocks
from tests.system.launched import adql

IMAGE = "my-learner"
APART = ("--set", "learner.role=learner,learner.replicaCount=1,actor.enabled=true,actor.replicaCount=2")


@pytest.fixture
def learner_tag(cluster: None, built_images: str, tmp_path: Path) -> Iterator[str]:
    """The tag of an image as the README makes it, on the images under test."""
    (dockerfile,) = blocks("README.md", "dockerfile")
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("adql/learner:0.1.0", f"adql/learner:{built_images}"))
    (tmp_path / "my_package.py").write_text(blocks("README.md", "python")[0])
    run("docker", "build", "--quiet", "--tag", f"{IMAGE}:{built_images}", str(tmp_path))
    load_into_cluster(f"{IMAGE}:{built_images}")
    yield built_images
    run("docker", "image", "rm", f"{IMAGE}:{built_images}")


def words(command: str) -> list[str]:
    """What the README tells to type after ``command``, for the own environment."""
    (block,) = [block for block in blocks("README.md", "sh") if f"{IMAGE}:v1" in block]
    (line,) = [line for line in block.splitlines() if re.match(rf"([A-Z]+=\S+ )?{command} ", line)]
    return shlex.split(line.partition(f"{command} ")[2])


def test_own_environment_is_acted_in_by_actors_and_learnt_by_a_learner(kubectl, learner_tag, tmp_path):
    *show, to, values = words("adql")
    assert (to, values) == (">", "values.yaml")
    (tmp_path / values).write_text(adql(*show, cwd=tmp_path).stdout)
    chosen = {values: str(tmp_path / values), "image.learner.tag=v1": f"image.learner.tag={learner_tag}"}
    told = [word.replace("image.learner.tag=v1", chosen["image.learner.tag=v1"]) for word in words("helm")]
    release = Release(kubectl)
    Helm("helm", kubectl.namespace)(*(chosen.get(word, word) for word in told), *images(), *APART)
    roles = ("actor", "actor", "learner")
    release.wait_until(lambda: tuple(sorted(one["role"] for one in release.run()["sessions"])) == roles, 60)
    release.wait_until(lambda: release.run()["state"]["status"] == "reached", 180)
    scaled = adql("k8s", "scale", "3", "--actors", "--namespace", kubectl.namespace).stdout
    assert "deployment adql-actor: 2 actors before, now 3" in scaled
    release.wait_ready("actor", 3)
    assert release.restarts() == 0
