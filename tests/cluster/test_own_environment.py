"""The README's own environment in an image of its own: actors act in it, a learner learns, and its goal is reached."""

import shlex
from pathlib import Path

import pytest

from tests.cluster.commands import Helm, images, load_into_cluster, run
from tests.cluster.release import Release
from tests.readme import blocks
from tests.system.launched import adql
from tests.waiting import wait_until

IMAGE = "my-learner"
APART = ("--set", "learner.role=learner,learner.replicaCount=1,actor.enabled=true,actor.replicaCount=2")


@pytest.fixture
def learner_tag(cluster: None, built_images: str, tmp_path: Path) -> str:
    """The tag of an image as the README makes it, on the images under test."""
    (dockerfile,) = blocks("README.md", "dockerfile")
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("adql/learner:0.1.0", f"adql/learner:{built_images}"))
    (tmp_path / "my_package.py").write_text(blocks("README.md", "python")[0])
    run("docker", "build", "--quiet", "--tag", f"{IMAGE}:{built_images}", str(tmp_path))
    load_into_cluster(f"{IMAGE}:{built_images}")
    return built_images


def helm_words(tag: str) -> list[str]:
    """The README's ``helm upgrade --install`` with the images under test."""
    text = next(block for block in blocks("README.md", "sh") if f"{IMAGE}:v1" in block).replace("\\\n", " ")
    (line,) = [one for one in text.splitlines() if one.startswith("helm ")]
    return shlex.split(line.replace("image.learner.tag=v1", f"image.learner.tag={tag}"))[1:]


def test_own_environment_is_acted_in_by_actors_and_learnt_by_a_learner(kubectl, learner_tag):
    release = Release(kubectl)
    Helm("helm", kubectl.namespace)(*helm_words(learner_tag), *images(), *APART)
    roles = ("actor", "actor", "learner")
    wait_until(lambda: tuple(sorted(one["role"] for one in release.run()["sessions"])) == roles, 60, release.story)
    wait_until(lambda: release.run()["state"]["status"] == "reached", 180, release.story)
    assert release.run()["name"] == "mine"
    words = ("k8s", "scale", "3", "--actors", "--namespace", kubectl.namespace)
    assert "deployment adql-actor: 2 actors before, now 3" in adql(*words).stdout
    release.wait_ready("actor", 3)
    assert release.restarts() == 0
