import numpy as np
import pytest

from adql.errors import CheckpointError, StoreLostError
from adql.parameters import run_record
from adql.parameters.policies import StoredPolicy
from adql.parameters.run_record import Episodes
from adql.parameters.tensors import read_tensors, write_tensors
from adql.parameters.volume import BEST, LAST, Volume, check_store
from adql.types import ArraySpec, Manifest
from tests.parameters.servers import commit, owning_server, push_many, restarted

MANIFEST = Manifest((ArraySpec("table", (2, 2)),))


@pytest.fixture
def server():
    return owning_server()


@pytest.fixture
def session(server):
    return server.register("both").identifier


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path, MANIFEST)


def task_of(server):
    return run_record.due(server.evaluations, server.durable, server.clocks, server.specification)


def test_policy_names_its_arrays_and_its_run(volume, tmp_path, server, session):
    push_many(server, session, 2)
    volume.write_last(commit(server))
    stored = StoredPolicy.read(tmp_path / LAST)
    metadata = stored.metadata
    assert stored.vector(MANIFEST).tolist() == [2, 0, 0, 0]
    assert (metadata["run"], metadata["version"]) == ("adql", "1.2")
    assert metadata["config_hash"] == server.identity.config_hash


def test_policy_of_another_network_is_refused(volume, tmp_path, server):
    volume.write_last(commit(server))
    with pytest.raises(CheckpointError, match=r"has arrays .*\(2, 2\).*its network has .*\(4, 1\)"):
        StoredPolicy.read(tmp_path / LAST).vector(Manifest((ArraySpec("table", (4, 1)),)))


def test_version_is_kept_until_its_evaluation_is_reported(volume, server, session):
    push_many(server, session, 5)
    state = commit(server)
    task = task_of(server)
    volume.keep_for_evaluation(task, state)
    volume.forget_evaluations_but((task,))
    assert volume.read_for_evaluation(task, server.identity.config_hash).tolist() == [5, 0, 0, 0]
    volume.forget_evaluations_but(())
    with pytest.raises(CheckpointError):
        volume.read_for_evaluation(task, server.identity.config_hash)


def kept_as(damage, arrays, metadata):
    """Returns arrays and metadata of a kept version after ``damage``."""
    table, more = arrays["table"], {}
    if damage == "dtype":
        table = table.astype(np.float64)
    elif damage == "not finite":
        table = np.full_like(table, np.nan)
    elif damage == "one array more":
        more = {"other": np.zeros(1, np.float32)}
    elif damage in metadata:
        metadata = metadata | {damage: "9.9"}
    return {"table": table, **more}, metadata


@pytest.mark.parametrize("damage", ["dtype", "not finite", "one array more", "version", "config_hash"])
def test_kept_version_with_another_dtype_numbers_arrays_or_owner_is_not_handed_out(volume, tmp_path, server, damage):
    push_many(server, server.register("both").identifier, 5)
    state, task = commit(server), task_of(server)
    volume.keep_for_evaluation(task, state)
    file = tmp_path / "evaluations" / f"{task.version}.safetensors"
    write_tensors(file, *kept_as(damage, *read_tensors(file)))
    with pytest.raises(CheckpointError, match=r"arrays|not finite|version 9\.9|another run"):
        volume.read_for_evaluation(task, server.identity.config_hash)


def test_folder_of_kept_versions_that_was_deleted_is_made_again(volume, tmp_path, server, session):
    push_many(server, session, 5)
    state, task = commit(server), task_of(server)
    (tmp_path / "evaluations").rmdir()
    volume.keep_for_evaluation(task, state)
    assert volume.read_for_evaluation(task, server.identity.config_hash).tolist() == [5, 0, 0, 0]


def test_version_that_is_kept_for_its_evaluation_is_the_last_policy_meanwhile(volume, tmp_path, server, session):
    push_many(server, session, 5)
    volume.write_last(commit(server))
    push_many(server, session, 5)
    state = commit(server)
    volume.keep_for_evaluation(task := task_of(server), state)
    assert read_tensors(tmp_path / "policy-last.safetensors")[1]["version"] == str(task.version) == "1.10"


def test_best_policy_is_the_evaluated_version_and_not_a_later_one(volume, tmp_path, server, session):
    push_many(server, session, 5)
    volume.keep_for_evaluation(task := task_of(server) or pytest.fail("due"), commit(server))
    push_many(server, session, 5)
    volume.promote_to_best(task)
    assert StoredPolicy.read(tmp_path / BEST).vector(MANIFEST).tolist() == [5, 0, 0, 0]


def test_log_keeps_reported_evaluations_over_a_restart(volume, tmp_path, server):
    record = run_record.RunRecord()
    for number in (5, 10):
        task = run_record.due(record, (1, number), type(server.clocks)(0, 2 * number), server.specification)
        record = run_record.scheduled(record, task, server.specification)
    volume.log.load(record)
    first, second = (run_record.result_of(task, Episodes((1.5, 3.0), (1, 2), None, 0.25)) for task in record.waiting)
    volume.log.append(first)
    record = run_record.reported(record, first, server.specification)
    volume.log.append(second)  # reported, and the server died before the commit that knows it
    again = Volume(tmp_path, MANIFEST).log
    again.load(record)
    assert again.results == [first]
    lines = (tmp_path / "evaluations.csv").read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("identifier,purpose,epoch,number,learner_steps,environment_steps")


def test_result_that_a_full_disk_keeps_out_of_the_file_is_shown_still(volume, tmp_path, server):
    task = run_record.due(run_record.RunRecord(), (1, 5), type(server.clocks)(0, 10), server.specification)
    result = run_record.result_of(task, Episodes((1.5, 3.0), (1, 2), None, 0.25))
    (tmp_path / "evaluations.csv").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        volume.log.append(result)
    assert volume.log.results == [result]


def test_result_that_a_full_disk_kept_out_of_the_file_is_written_with_the_next_one(volume, tmp_path, server):
    record = run_record.RunRecord()
    for number in (5, 10):
        task = run_record.due(record, (1, number), type(server.clocks)(0, 2 * number), server.specification)
        record = run_record.scheduled(record, task, server.specification)
    file, aside = tmp_path / "evaluations.csv", tmp_path / "aside.csv"
    volume.log.load(record)
    results = [run_record.result_of(task, Episodes((1.5, 3.0), (1, 2), None, 0.25)) for task in record.waiting]
    file.rename(aside)
    file.mkdir()  # nothing can be written
    with pytest.raises(OSError, match="Is a directory"):
        volume.log.append(results[0])
    file.rmdir()
    aside.rename(file)
    volume.log.append(results[1])
    for result in results:
        record = run_record.reported(record, result, server.specification)
    again = Volume(tmp_path, MANIFEST).log
    again.load(record)
    assert again.results == results


@pytest.mark.parametrize("tail", ["1,periodic,1", "garbage,,,", '"', "\0" * 200_000])
def test_torn_last_line_of_the_log_is_dropped(volume, tmp_path, tail):
    volume.log.load(run_record.RunRecord())
    with (tmp_path / "evaluations.csv").open("a") as file:
        file.write(tail)
    volume.log.load(run_record.RunRecord())
    assert volume.log.results == []
    assert len((tmp_path / "evaluations.csv").read_text().splitlines()) == 1


def test_line_that_is_no_text_is_dropped_from_the_log(volume, tmp_path, server):
    task = run_record.due(run_record.RunRecord(), (1, 5), type(server.clocks)(0, 10), server.specification)
    record = run_record.scheduled(run_record.RunRecord(), task, server.specification)
    result = run_record.result_of(task, Episodes((1.5, 3.0), (1, 2), None, 0.25))
    volume.log.load(record)
    volume.log.append(result)
    with (tmp_path / "evaluations.csv").open("ab") as file:
        file.write(b"\xff,periodic,1\n")
    volume.log.load(run_record.reported(record, result, server.specification))
    assert volume.log.results == [result]
    assert len((tmp_path / "evaluations.csv").read_text(encoding="utf-8").splitlines()) == 2


# What the store may hold, seen from the volume


def test_new_volume_accepts_any_store(server):
    check_store(None, None, "adql")
    check_store(None, commit(server), "adql")


def test_emptied_store_is_refused_and_the_way_out_is_named(volume, server):
    volume.remember(server.identity, commit(server).mark)
    with pytest.raises(StoreLostError, match=r"does not know run 'adql'.*1\.0.*adql restore"):
        check_store(volume.record(), None, "adql")


def test_older_store_is_refused_and_the_same_or_a_newer_one_is_not(volume, server, session):
    older = commit(server)
    push_many(server, session, 1)
    newest = commit(server)
    volume.remember(server.identity, newest.mark)
    check_store(volume.record(), newest, "adql")
    check_store(volume.record(), commit(restarted(newest)), "adql")
    with pytest.raises(StoreLostError, match=r"version 1\.0 of run 'adql', older than 1\.1"):
        check_store(volume.record(), older, "adql")


@pytest.mark.parametrize("store_is", ["empty", "older"])
def test_volume_without_its_watermark_knows_the_run_by_its_newest_checkpoint(
    volume, server, session, tmp_path, store_is
):
    """A run that begins anew at version 0 would soon displace the checkpoints that are left."""
    older = commit(server)
    push_many(server, session, 1)
    volume.checkpoints.write(commit(server))
    stored = {"empty": None, "older": older}[store_is]
    with pytest.raises(StoreLostError, match="adql restore"):
        check_store(Volume(tmp_path, MANIFEST).record(), stored, "adql")


def test_volume_whose_watermark_and_checkpoints_are_lost_says_which_files_and_the_way_out(volume, server, tmp_path):
    volume.checkpoints.write(commit(server)).write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match=r"watermark is gone and .* no checkpoint that can be read.*remove"):
        Volume(tmp_path, MANIFEST).record()


def test_store_that_lacks_only_a_commit_of_the_same_version_is_refused_by_commits(volume, server):
    older = commit(server)
    volume.remember(server.identity, older.mark._replace(commit=older.mark.commit + 3))
    with pytest.raises(StoreLostError, match=r"holds commit 0 of version 1\.0 of run 'adql', older than commit 3 of"):
        check_store(volume.record(), older, "adql")


def test_store_with_another_run_of_that_name_is_refused(volume, server):
    state = commit(server)
    stranger = type(server.identity)("adql", "run-2", server.identity.config_hash, {})
    volume.remember(stranger, state.mark)
    with pytest.raises(StoreLostError, match="another run"):
        check_store(volume.record(), state, "adql")


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    Volume(tmp_path, MANIFEST)
    leftover = tmp_path / ".policy-last.safetensors.123.tmp"
    leftover.write_bytes(b"half")
    Volume(tmp_path, MANIFEST)
    assert not leftover.exists()


def test_evaluated_vector_has_the_flat_order(volume, server):
    vector = np.arange(4, dtype=np.float32)
    state = commit(server)
    kept = type(state)(state.mark, vector, {}, state.record)
    task = run_record.Task(1, "periodic", 2, 0, 1, 0, 10, 0)
    volume.keep_for_evaluation(task, kept)
    assert volume.read_for_evaluation(task, server.identity.config_hash).tolist() == [0, 1, 2, 3]
