"""What the images are: small, for one user without rights, read-only, and they end when they are told to."""

import json
import subprocess
import time

import pytest

from tests.cluster.commands import run
from tests.waiting import wait_until

MAX_MEGABYTES_OVER_BASE = 250
BASE = "python:3.11-slim-bookworm"
CONFINED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--rm")
HELD_SECONDS = 5
"""Well below the 10 s after which Docker kills."""


@pytest.fixture(params=["service", "learner"])
def image(request, built_images):
    return f"adql/{request.param}:{built_images}"


def inspected(image):
    return json.loads(run("docker", "image", "inspect", image))[0]


def in_image(image, *words, check=True):
    return run("docker", "run", *CONFINED, "--entrypoint", words[0], image, *words[1:], check=check)


@pytest.fixture
def started(request):
    """Starts a container that is gone afterwards."""

    def start(image, *words, options=()):
        container = run("docker", "run", "--detach", *options, image, *words).strip()
        request.addfinalizer(lambda: run("docker", "rm", "--force", container))
        return container

    return start


def test_image_adds_at_most_250_megabytes_to_its_base(image):
    added = inspected(image)["Size"] - inspected(BASE)["Size"]
    assert added / 1e6 < MAX_MEGABYTES_OVER_BASE


def test_image_runs_as_uid_10001(image):
    assert inspected(image)["Config"]["User"] == "10001:10001"
    assert in_image(image, "id", "-u").strip() == "10001"


def test_image_says_what_it_is(image):
    labels = inspected(image)["Config"]["Labels"]
    version = in_image(image, "adql", "--version").split()[1]
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.title"]
    assert labels["org.opencontainers.image.revision"] not in ("", "unknown")


def test_no_compiler_is_left_in_the_image(image):
    tools = ("cc", "gcc", "g++", "clang", "make", "ld")
    found = in_image(image, "sh", "-c", "; ".join(f"command -v {tool} || true" for tool in tools))
    assert found == ""


def test_command_works_on_a_read_only_root_without_rights(image):
    assert "COMMAND" in in_image(image, "adql", "--help")


def test_learner_image_has_no_torch(built_images):
    said = in_image(f"adql/learner:{built_images}", "python", "-c", "import torch", check=False)
    assert "No module named 'torch'" in said


def test_sigterm_ends_a_service_that_has_just_begun(image, started):
    """As the first process of a container Python would ignore a signal that it has no handler for yet."""
    container = started(image, "evaluator", options=("--env", "ADQL_AUTH=false"))
    begun = time.monotonic()
    run("docker", "stop", "--time", "20", container)
    assert time.monotonic() - begun < HELD_SECONDS


def test_sigterm_reaches_a_service_that_waits(built_images, started):
    container = started(f"adql/service:{built_images}", "parameter-server", options=("--env", "ADQL_AUTH=false"))
    wait_until(lambda: "waiting for the weight store" in logs(container), 30, lambda: logs(container))
    run("docker", "stop", "--time", "20", container)
    assert inspected_state(container)["ExitCode"] == 0, logs(container)


def logs(container):
    done = subprocess.run(("docker", "logs", container), capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def inspected_state(container):
    return json.loads(run("docker", "inspect", container))[0]["State"]
