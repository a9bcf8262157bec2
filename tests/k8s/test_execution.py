"""What a command in a container writes, read from the frames of one connection."""

import io

import pytest

from adql.errors import TransportError
from adql_services.cluster.execution import STDERR, STDOUT, Execution
from tests.k8s.objects import Frames, ended, executed, frames_of


def test_output_is_read_whole_and_apart_from_complaints_and_pings():
    content = bytes(range(256)) * 50
    with executed(content, b"careful", 0) as execution:
        assert io.BufferedReader(execution).read() == content
        assert (execution.stderr, execution.exit_code) == ("careful", 0)


def test_exit_code_is_the_commands():
    with executed(b"", b"adql: error: no", 2) as execution:
        assert (execution.readall(), execution.exit_code) == (b"", 2)


def test_connection_that_breaks_is_no_end():
    execution = Execution(Frames(frames_of(STDOUT, b"half"), politely=False))
    assert execution.read(4) == b"half"
    with pytest.raises(TransportError, match="the connection to the cluster broke"):
        execution.read(1)


def test_server_that_hangs_up_after_the_result_is_taken_at_its_word():
    execution = Execution(Frames([*frames_of(STDOUT, b"all"), ended(0)], politely=False))
    assert (execution.readall(), execution.exit_code) == (b"all", 0)


def test_server_that_leaves_the_connection_open_after_the_result_is_not_waited_for():
    frames = Frames([*frames_of(STDOUT, b"all"), ended(0)], leaves=False)
    execution = Execution(frames)
    assert (execution.readall(), execution.exit_code) == (b"all", 0)
    assert frames.waited_seconds < 5.0


def test_end_without_a_result_is_told():
    execution = Execution(Frames(frames_of(STDERR, b"x")))
    execution.readall()
    with pytest.raises(TransportError, match="broke before the command had ended"):
        assert execution.exit_code


def test_command_that_could_not_be_started_is_told_in_the_clusters_words():
    execution = Execution(Frames([b'\x03{"status": "Failure", "message": "no such   program"}']))
    execution.readall()
    with pytest.raises(TransportError, match=r"was not started: no such program; `adql k8s status`"):
        assert execution.exit_code


def test_connection_is_closed_with_the_stream():
    frames = Frames([])
    Execution(frames).close()
    assert frames.closed
