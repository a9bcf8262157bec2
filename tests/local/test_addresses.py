"""Private folders in /tmp: one owner each, and gone when the owner is."""

import os
import subprocess
import sys

import pytest

from adql_services.local import addresses
from adql_services.local.addresses import LOCK, private_folder, remove_abandoned


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(addresses, "PLACE", tmp_path)
    return tmp_path


def abandoned(place):
    """A folder whose owner was killed."""
    program = (
        "import os, pathlib; from adql_services.local import addresses as a\n"
        f"a.PLACE = pathlib.Path({str(place)!r}); print(a.private_folder(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    folder = done.stdout.strip()
    assert os.path.isdir(folder)
    return folder


def test_folder_of_a_killed_owner_is_removed_and_that_of_a_living_one_stays(place):
    left, own = abandoned(place), private_folder()
    assert remove_abandoned(place) == 1
    assert (os.path.exists(left), own.exists()) == (False, True)


def test_folder_that_others_could_enter_is_left_alone(place):
    left = abandoned(place)
    os.chmod(left, 0o755)
    assert remove_abandoned(place) == 0 and os.path.exists(left)


def test_folder_of_another_user_is_left_alone(place, monkeypatch):
    left = abandoned(place)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert remove_abandoned(place) == 0 and os.path.exists(left)


def test_folder_without_a_lock_and_links_are_left_alone(place):
    (place / "adql-unlocked").mkdir(mode=0o700)
    (place / "adql-link").symlink_to(abandoned(place / ".."), target_is_directory=True)
    assert remove_abandoned(place) == 0
    assert {path.name for path in place.iterdir()} == {"adql-unlocked", "adql-link"}


def test_folder_that_is_taken_for_abandoned_before_it_is_locked_is_made_again(place, monkeypatch):
    made = addresses.tempfile.mkdtemp
    robbed = []

    def make(*words, **options):
        folder = made(*words, **options)
        if not robbed:
            robbed.append(folder)
            os.rmdir(folder)
        return folder

    monkeypatch.setattr(addresses.tempfile, "mkdtemp", make)
    assert (private_folder() / LOCK).exists()
    assert len(robbed) == 1 and not os.path.exists(robbed[0])
