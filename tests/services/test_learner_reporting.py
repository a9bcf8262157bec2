"""What a learner publishes of its wire, and its file of episodes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from adql.agent.actor import Episode
from adql.episodes import EPISODES_HEADER
from adql.errors import InputError
from adql.telemetry.metrics import CLIENT
from adql.types import Clocks
from adql_services.learner.reporting import EpisodeFile, MetricsReport
from adql_services.local.episodes import read_episodes


def published(operation: str, direction: str) -> float:
    labels = {"operation": operation, "direction": direction, "encoding": "bfloat16"}
    return CLIENT.get_sample_value("adql_wire_bytes_total", labels) or 0.0


REPLAY = SimpleNamespace(reconnects=0)


def client(**bulk_bytes: int) -> SimpleNamespace:
    """What the report reads of a ParameterClient; keys are operation_direction."""
    pairs = {tuple(name.split("_")): count for name, count in bulk_bytes.items()}
    return SimpleNamespace(
        bulk_bytes=pairs, encoding="bfloat16", reconnects=0, updates_at_risk=0, updates_resent=0, updates_lost=0
    )


def test_bytes_of_vectors_are_published_once_by_operation_and_direction():
    report, before = MetricsReport(), published("push", "sent")
    report.publish_wire(client(push_sent=10), REPLAY)
    report.publish_wire(client(push_sent=30, pull_received=7), REPLAY)
    assert (published("push", "sent") - before, published("pull", "received")) == (30, 7)


def test_episodes_file_that_cannot_be_opened_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write ADQL_EPISODES_FILE=.*Not a directory; name a file that can"):
        EpisodeFile(tmp_path / "file" / "episodes.csv", None)


@pytest.mark.parametrize(
    ("goal", "successes"), [(475.0, [False, True, False, True]), (None, [None, None, False, True])]
)
def test_success_of_an_episode_is_the_environments_word_else_by_the_goal_else_blank(tmp_path, goal, successes):
    path = tmp_path / "episodes.csv"
    path.write_text(f"{EPISODES_HEADER}\n")
    file = EpisodeFile(path, goal)
    played = ((474.0, None), (475.0, None), (500.0, False), (1.0, True))
    file.write([Episode(total, 10, 0.1, said) for total, said in played], 0, SimpleNamespace(clocks=Clocks(5, 0)))
    file.close()
    assert [episode.success for episode in read_episodes(path)] == successes


def test_full_disk_under_the_episodes_file_is_told_once_and_stops_nothing():
    file = EpisodeFile(Path("/dev/full"), None)
    episode = Episode(1.0, 10, 0.1, None)
    with capture_logs() as lines:
        for _ in range(3):
            file.write([episode], 0, SimpleNamespace(clocks=Clocks(5, 0)))
    file._stream.close()
    assert [line["event"] for line in lines] == ["episodes are not written; learning goes on"]
