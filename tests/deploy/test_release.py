"""What a release publishes: a chart that takes the images which the same workflow has pushed."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.copies import copied
from tests.deploy.rendering import ROOT, render

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text(encoding="utf-8"))
OWNER, TAG = "Somebody", "v0.1.0"


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = WORKFLOW["jobs"][job]["steps"]
    return found


def published(directory: Path) -> Path:
    """The chart as the workflow makes it ready."""
    chart = copied(directory / "charts")
    path = directory / "environment"
    environment = {"PATH": os.environ["PATH"], "GITHUB_ENV": str(path), "GITHUB_REPOSITORY_OWNER": OWNER}
    for step in steps("chart"):
        if "run" in step and step["name"] != "Publish the chart":
            subprocess.run(["bash", "-euc", step["run"]], cwd=directory, env=environment, check=True, timeout=60)
            environment |= dict(line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return chart


def test_published_chart_takes_the_published_images(tmp_path):
    chart = published(tmp_path)
    about = (chart / "Chart.yaml").read_text(encoding="utf-8")
    (chart / "Chart.yaml").write_text(about.replace('appVersion: "0.1.0"', f'appVersion: "{TAG}"'), encoding="utf-8")
    (build,) = [step["with"] for step in steps("images") if "tags" in step.get("with", {})]
    tag = build["tags"].replace("${{ env.REGISTRY }}", "ghcr.io/somebody").replace("${{ github.ref_name }}", TAG)
    pushed = {tag.replace("${{ matrix.image }}", image) for image in ("service", "learner")}
    taken = {container["image"] for _, container in render(chart=chart).containers()}
    assert taken - pushed == {"docker.io/valkey/valkey:9.1"} and pushed < taken
    assert tag.islower()


def test_commands_that_a_published_chart_prints_name_the_chart_where_it_was_published(tmp_path):
    chart = published(tmp_path)
    (push,) = [step["run"] for step in steps("chart") if step.get("name") == "Publish the chart"]
    assert 'helm push "adql-$version.tgz" "oci://$REGISTRY/charts"' in push
    notes = render(chart=chart).notes
    assert "upgrade adql oci://ghcr.io/somebody/charts/adql --version 0.1.0 --reset-then-reuse-values" in notes
    assert " charts/adql" not in notes


def test_token_of_the_registry_is_in_no_argument():
    assert not any("secrets." in step.get("run", "") for job in WORKFLOW["jobs"] for step in steps(job))
