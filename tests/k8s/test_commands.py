"""`adql k8s status`, `scale`, `logs` and `download` against a cluster of made-up objects."""

import errno
import io
import json
import os
from pathlib import Path

import msgspec
import pytest

from adql import types
from adql.bundle import Part, write_bundle
from adql.errors import InputError, MalformedBodyError, NotFoundError, RunFailedError
from adql.parameters import run_record, sessions
from adql.wire import run_state as state_on_the_wire
from adql_services.cluster import inside, scaling
from adql_services.cluster.download import download
from adql_services.cluster.execution import STDOUT, Execution
from adql_services.cluster.logs import logs
from adql_services.cluster.scaling import scale
from adql_services.cluster.status import OVER, status
from tests.k8s.objects import (
    ClusterDouble,
    Frames,
    claim,
    ended,
    executed,
    frames_of,
    healthy,
    pod,
    room,
    run_status,
    waiting,
    workload,
)


def told(cluster, capsys, code=0):
    assert status(cluster, "adql") == code
    return capsys.readouterr().out


# status


def test_status_of_a_release_that_is_well(capsys):
    text = told(healthy(learners=2), capsys)
    assert "release adql in namespace default of kind" in text
    assert [line.split()[:3] for line in text.splitlines()[3:8]] == [
        ["parameter-server", "1/1", "0"],
        ["replay", "1/1", "0"],
        ["valkey", "1/1", "0"],
        ["learner", "2/2", "0"],
        ["evaluator", "1/1", "0"],
    ]
    assert "run adql: running, 2 learners" in text
    assert "version 1.250, durable 1.248; 8,000 environment steps, 2,000 learner steps" in text
    assert "greedy mean return 120.5 over 20 episodes at 1,000 learner steps; goal 475" in text
    assert "!" not in text


def test_status_says_what_is_wrong_and_ends_with_1(capsys):
    cluster = healthy()
    cluster.kinds["pods"].append(pod("learner", waiting("ImagePullBackOff"), name="adql-learner-9"))
    assert "! adql-learner-9 has no image, adql/learner:0.1.0 cannot be pulled" in told(cluster, capsys, 1)


def test_status_without_a_parameter_server_says_why_there_is_no_run(capsys):
    cluster = healthy(persistentvolumeclaims=[claim("parameter-server", None)])
    cluster.kinds["pods"][0] = pod("parameter-server", None)
    text = told(cluster, capsys, 1)
    assert "run: no parameter-server of release adql runs" in text
    assert "! adql-parameter-server-0 is pending: claim data-adql-parameter-server-0 names no StorageClass" in text


def test_status_of_a_server_that_does_not_answer_gives_its_words(capsys):
    cluster = healthy()
    cluster.answers["status"] = lambda: executed(b"", b"adql: error: the parameter server is starting", 1)
    assert "run: the parameter server is starting" in told(cluster, capsys, 1)


def test_status_of_an_image_that_is_too_old_to_answer_says_so(capsys):
    cluster = healthy()
    refusal = b"adql: error: argument COMMAND: invalid choice: 'pod' (choose from ...); see `adql --help`"
    cluster.answers["status"] = lambda: executed(b"", refusal, 2)
    assert "run: the service's image is older than this adql; `helm upgrade`" in told(cluster, capsys, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b'{"run": {}}', "missing required field `name`"), (b"[]", "got `array`"), (b"", "truncated")],
)
def test_status_of_an_image_of_another_version_says_so(capsys, answer, said):
    cluster = healthy()
    cluster.answers["status"] = lambda: executed(answer)
    (line,) = [line for line in told(cluster, capsys, 1).splitlines() if line.startswith("run: ")]
    assert line.startswith("run: the service's image is of another version than this adql (") and said in line
    assert line.endswith("`helm upgrade` to its images")


def test_status_reads_the_last_words_of_the_container_that_crashed(capsys):
    cluster = healthy()
    crashed = waiting("CrashLoopBackOff", restarts=3, terminated={"exitCode": 1})
    cluster.kinds["pods"].append(pod("learner", crashed, name="adql-learner-9"))
    cluster.logs["adql-learner-9", True] = "listening\nadql: error: a valid token is needed: Authorization: Bearer\n"
    text = told(cluster, capsys, 1)
    assert "! adql-learner-9 ended 3 times, last with code 1: a valid token is needed" in text
    assert "auth.existingSecret" in text


def test_status_leaves_out_what_may_not_be_asked_for(capsys):
    cluster = healthy()
    cluster.refused = dict.fromkeys(("events", "persistentvolumeclaims"), RunFailedError("you cannot list", status=403))
    assert "!" not in told(cluster, capsys)
    cluster.kinds["pods"][0] = pod("parameter-server", None)
    assert "! adql-parameter-server-0 is pending: it has not been scheduled yet" in told(cluster, capsys, 1)


def test_status_of_a_cluster_that_goes_away_meanwhile_is_a_failure():
    cluster = healthy()
    cluster.refused["events"] = RunFailedError("cannot reach the cluster")
    with pytest.raises(RunFailedError, match="cannot reach the cluster"):
        status(cluster, "adql")


@pytest.mark.parametrize("component", ["parameter-server", "replay"])
@pytest.mark.parametrize(
    ("free", "trouble", "said"),
    [
        (0.01, "", "has 0 of 1 MB left: give its claim more room"),
        (
            0.0,
            "No space left on device",
            "has 0 of 1 MB left, and it cannot be written (No space left on device): give its claim",
        ),
        (0.5, "Permission denied", "cannot be written (Permission denied): user 10001 needs to"),
    ],
)
def test_status_of_a_volume_that_takes_nothing_more(capsys, component, free, trouble, said):
    cluster = healthy()
    cluster.answers[f"{component} room"] = lambda: executed(msgspec.json.encode(room(free, trouble)))
    assert f"! the volume of {component} {said}" in told(cluster, capsys, 1)


def test_status_of_a_volume_that_takes_something_but_not_all(capsys):
    cluster, came = healthy(), run_status()
    came["run"]["volume_trouble"] = "a checkpoint: [Errno 30] Read-only file system"
    cluster.answers["status"] = lambda: executed(msgspec.json.encode(came))
    assert "! the volume of parameter-server cannot be written (a checkpoint: [Errno 30]" in told(cluster, capsys, 1)


@pytest.mark.parametrize(("state", "code"), [("running", 1), ("reached", 0)])
def test_run_that_goes_on_without_learners_is_told_how_to_get_some(capsys, state, code):
    cluster = healthy(learners=0)
    cluster.answers["status"] = lambda: executed(msgspec.json.encode(run_status(state)))
    assert ("`adql k8s scale 2`" in told(cluster, capsys, code)) == bool(code)


def test_release_that_is_not_there_is_told_where_there_is_one():
    cluster = ClusterDouble()
    with pytest.raises(InputError, match=r"no release adql .* namespace default; make one with `helm install adql"):
        status(cluster, "adql")
    cluster.elsewhere = [workload("parameter-server")]
    cluster.elsewhere[0]["metadata"]["namespace"] = "rl"
    with pytest.raises(InputError, match=r"there is adql in namespace rl: name one with --release and --namespace"):
        status(cluster, "adql")


# scale


@pytest.mark.parametrize(("before", "words"), [(2, "2 learners"), (1, "1 learner")])
def test_scale_sets_the_learners_and_says_what_there_were(capsys, before, words):
    cluster = healthy(learners=before)
    assert scale(cluster, "adql", "learner", 0) == 0
    assert cluster.scaled == {"adql-learner": 0}
    assert capsys.readouterr().out == f"deployment adql-learner: {words} before, now 0\n"


def test_what_the_commands_know_by_heart_is_what_the_parameter_server_has():
    assert scaling.MAX_SESSIONS == sessions.MAX_SESSIONS
    assert OVER == types.OVER
    for asked, told_of in (
        (inside.State, state_on_the_wire._Header),
        (inside.Evaluation, run_record.Result),
        (inside.Task, run_record.Task),
    ):
        assert set(asked.__struct_fields__) <= set(told_of.__struct_fields__)


def test_scale_sets_actors_where_the_release_has_them(capsys):
    cluster = healthy()
    with pytest.raises(InputError, match="release adql has no actor; it has parameter-server, replay"):
        scale(cluster, "adql", "actor", 8)
    cluster.kinds["deployments"].append(workload("actor", 4))
    assert scale(cluster, "adql", "actor", 8) == 0
    assert cluster.scaled == {"adql-actor": 8}
    assert "4 actors before, now 8" in capsys.readouterr().out


def test_status_of_a_server_that_nobody_asks_for_says_how_to_get_it(capsys):
    cluster = healthy()
    cluster.kinds["statefulsets"][0] = workload("parameter-server", 0)
    cluster.kinds["pods"] = [one for one in cluster.kinds["pods"] if "parameter-server" not in one["metadata"]["name"]]
    said = told(cluster, capsys, 1)
    assert "run: no parameter-server of release adql runs\n" in said
    assert "`kubectl scale statefulset adql-parameter-server --replicas=1`" in said


def test_status_says_that_nobody_acts(capsys):
    cluster = healthy()
    cluster.kinds["deployments"].append(workload("actor", 0))
    assert "no actor is asked for, so nothing is learned: `adql k8s scale 2 --actors`" in told(cluster, capsys, 1)


@pytest.mark.parametrize("learners", [-1, 4_097])
def test_scale_that_cannot_be_is_refused_with_its_bounds(learners):
    with pytest.raises(InputError, match=f"{learners} learners: name a number from 0 to 4096"):
        scale(healthy(), "adql", "learner", learners)


# logs


def test_logs_stand_after_the_names_of_their_pods(capsys):
    cluster = healthy(learners=2)
    cluster.logs = {("adql-learner-0", False): "a\nb\n", ("adql-learner-1", False): "c\n"}
    assert logs(cluster, "adql", "learner", follow=False, lines=None) == 0
    assert capsys.readouterr().out == "[adql-learner-0] a\n[adql-learner-0] b\n[adql-learner-1] c\n"


def test_logs_of_all_pods_are_followed_until_they_have_ended(capsys):
    cluster = healthy(learners=2)
    cluster.logs = {("adql-learner-0", False): "a\nb\n", ("adql-learner-1", False): "c\n"}
    assert logs(cluster, "adql", "learner", follow=True, lines=None) == 0
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == ["[adql-learner-0] a", "[adql-learner-0] b", "[adql-learner-1] c"]


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("readable", [0, 1])
def test_pod_whose_log_cannot_be_read_is_told_once_the_others_have_ended(capsys, follow, readable):
    cluster = healthy(learners=2)
    cluster.logs = {(f"adql-learner-{readable}", False): "a\n"}
    with pytest.raises(NotFoundError, match="no log"):
        logs(cluster, "adql", "learner", follow=follow, lines=None)
    assert capsys.readouterr().out == f"[adql-learner-{readable}] a\n"


def test_logs_of_a_component_that_is_not_there_name_those_that_are():
    with pytest.raises(
        InputError, match="has no controller; it has parameter-server, replay, valkey, learner, evaluator"
    ):
        logs(healthy(), "adql", "controller", follow=False, lines=None)


def test_logs_of_a_pod_that_never_ran_are_refused_with_the_way_out():
    cluster = healthy()
    cluster.kinds["pods"] = [pod("learner", waiting("ImagePullBackOff"))]
    with pytest.raises(InputError, match="no pod of learner has run yet; see `adql k8s status`"):
        logs(cluster, "adql", "learner", follow=False, lines=None)


# download


def bundle(**changes):
    out = io.BytesIO()
    files = {
        "status.json": msgspec.json.encode(run_status()),
        "run.yaml": b"run: {}\n",
        "policy-best.safetensors": b"b",
    }
    write_bundle(out, [Part.of(name, content) for name, content in (files | changes).items()])
    return out.getvalue()


def downloading(stdout, code=0, stderr=b""):
    cluster = healthy()
    cluster.answers["export"] = lambda: executed(stdout, stderr, code)
    return cluster


def completed(path, run, evaluations, process_restarts):
    (path / "summary.json").write_text(json.dumps([run["name"], len(evaluations), process_restarts]))
    return "as it should be"


def test_download_makes_the_folder_in_one_step(tmp_path, capsys):
    assert download(downloading(bundle()), "adql", tmp_path / "run", completed) == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "run.yaml", "policy-best.safetensors", "summary.json",
    }  # fmt: skip
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == ["adql", 1, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert "as it should be" in capsys.readouterr().out


def test_download_into_an_empty_folder_is_welcome(tmp_path):
    (tmp_path / "run").mkdir()
    assert download(downloading(bundle()), "adql", tmp_path / "run", completed) == 0
    assert (tmp_path / "run" / "run.yaml").exists()


def test_download_that_breaks_leaves_nothing(tmp_path):
    cluster = healthy()
    cluster.answers["export"] = lambda: Execution(Frames([*frames_of(STDOUT, bundle()[:1_500]), ended(137)]))
    with pytest.raises(RunFailedError, match="answered with code 137"):
        download(cluster, "adql", tmp_path / "run", completed)
    with pytest.raises(MalformedBodyError, match="not whole"):
        download(downloading(bundle()[:1_500]), "adql", tmp_path / "run", completed)
    assert list(tmp_path.iterdir()) == []


def test_download_from_a_server_that_refuses_gives_its_words(tmp_path):
    cluster = downloading(b"", 1, b"adql: error: the parameter server does not tell of its run: it is starting")
    with pytest.raises(RunFailedError, match="does not tell of its run: it is starting"):
        download(cluster, "adql", tmp_path / "run", completed)
    assert list(tmp_path.iterdir()) == []


def test_download_does_not_touch_a_folder_that_holds_something(tmp_path):
    (tmp_path / "kept").touch()
    with pytest.raises(InputError, match="is there and not empty; name another DIR"):
        download(downloading(bundle()), "adql", tmp_path, completed)
    with pytest.raises(InputError, match="cannot write"):
        download(downloading(bundle()), "adql", tmp_path / "kept" / "run", completed)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("name", [".", "..", "run/.."])
def test_download_cannot_take_the_place_of_the_current_folder(tmp_path, monkeypatch, name):
    (tmp_path / "run" / "empty").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run" / "empty")
    with pytest.raises(InputError, match="name another DIR"):
        download(downloading(bundle()), "adql", Path(name), completed)


def test_download_onto_a_full_disk_names_the_folder_and_leaves_nothing(tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=rf"^cannot write {tmp_path}/run: No space left on device; make room, or name"):
        download(downloading(bundle()), "adql", tmp_path / "run", full)
    assert list(tmp_path.iterdir()) == []


def test_download_works_without_an_evaluator(tmp_path):
    cluster = downloading(bundle())
    cluster.kinds["deployments"] = [workload("learner", 2)]
    cluster.kinds["pods"] = [one for one in cluster.kinds["pods"] if "evaluator" not in one["metadata"]["name"]]
    assert download(cluster, "adql", tmp_path / "run", completed) == 0
