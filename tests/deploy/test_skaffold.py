"""What skaffold tells the chart: it finds the pods that it copies files into by the exact image that it has built."""

import pytest
import yaml

from tests.deploy.rendering import ROOT, render

(RELEASE,) = yaml.safe_load((ROOT / "skaffold.yaml").read_text(encoding="utf-8"))["deploy"]["helm"]["releases"]


def values(repository: str, tag: str, digest: str) -> dict:
    """What comes of its templates for images of the same build."""
    tree: dict = {}
    for key, template in RELEASE["setValueTemplates"].items():
        kind, _, image = template.strip("{}. ").removeprefix("IMAGE_").partition("_")
        *path, name = key.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[name] = {"REPO": f"{repository}{image}", "TAG": tag, "DIGEST": digest}[kind]
    return tree


@pytest.mark.parametrize(
    ("repository", "tag", "digest", "image"),
    [
        ("localhost:5000/", "v1", f"sha256:{'1' * 64}", f"localhost:5000/adql_learner:v1@sha256:{'1' * 64}"),
        ("", "b756bf39", "", "adql_learner:b756bf39"),
    ],
)
def test_pods_have_the_very_image_that_was_built_pushed_or_not(repository, tag, digest, image):
    images = {name: container["image"] for name, container in render(values(repository, tag, digest)).containers()}
    assert {images[name] for name in ("adql-learner", "adql-evaluator")} == {image}
    assert {images[name] for name in ("adql-parameter-server", "adql-replay")} == {image.replace("learner", "service")}
