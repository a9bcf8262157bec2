"""The run specification: layers, names and complaints."""

from pathlib import Path

import pytest

from adql.config import (
    LearnerSettings,
    RunSpecification,
    TrainingSettings,
    child_environment,
    config_hash,
    load_settings,
    load_specification,
    to_yaml,
)
from adql.errors import ConfigError


def load(*assignments: str, file: Path | None = None, **environ: str) -> RunSpecification:
    return load_specification(file, assignments, environ)


def test_later_layers_win_key_by_key(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text("replay: {capacity: 5000, min_size: 100}\nalgorithm: {gamma: 0.5}\n")
    specification = load("algorithm.gamma=0.9", file=file, ADQL_ALGORITHM__GAMMA="0.7", ADQL_REPLAY__CAPACITY="6000")
    assert specification.replay.capacity == 6000
    assert specification.replay.min_size == 100
    assert specification.algorithm.gamma == 0.9


def test_values_are_yaml():
    specification = load("network.hidden=[64, 32]", "network.dueling=true", "update.weight=null")
    assert specification.network.hidden == (64, 32)
    assert specification.network.dueling
    assert specification.update.weight is None


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        (
            "replay.capasity=1",
            "replay.capasity: unknown key; did you mean replay.capacity? known here: batches_per_request, capacity",
        ),
        ("algorithm.gamma=2", "algorithm.gamma=2: Input should be less than or equal to 1"),
        ("algorithm.gamma=.nan", "algorithm.gamma=nan: Input should be a finite number"),
        ("update.staleness.policy=never", "update.staleness.policy='never': Input should be 'reject', 'damp'"),
        ("replay.capacity=10", "algorithm.batch_size 64 is larger than replay.capacity 10; lower the one or raise"),
        ("replay.min_size=200000", "replay.min_size 200000 is larger than replay.capacity 20000: nothing would"),
        ("training.environment_steps=10", "training.environment_steps 10 ends before replay.min_size 1000"),
        ("replay.samples_per_insert=0.0001", "replay.samples_per_insert 0.0001 allows 20 samples in training.env"),
        ("update.encoding=int8", "update.encoding='int8': Input should be 'float32', 'float16' or 'bfloat16'"),
        ("run.name=My Run", "run.name='My Run': String should match pattern"),
        (
            "environment.signature.actionz=2",
            "environment.signature.actionz: unknown key; did you mean environment.signature.actions or",
        ),
        ("gamma", "'gamma' is not key=value"),
        ("network.hidden=[1", "network.hidden: '[1' is not a YAML value"),
        ("algorithm.optimizer.beta1=1", "algorithm.optimizer.beta1=1: Input should be less than 1"),
        ("algorithm.optimizer.beta2=1.0", "algorithm.optimizer.beta2=1.0: Input should be less than 1"),
        ("algorithm.optimizer.decay=1", "algorithm.optimizer.decay=1: Input should be less than 1"),
        ("algorithm.optimizer.momentum=1", "algorithm.optimizer.momentum=1: Input should be less than 1"),
    ],
)
def test_bad_assignment_is_one_line_with_key_value_and_bound(assignment: str, complaint: str):
    with pytest.raises(ConfigError) as caught:
        load(assignment)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignments", "capacity"),
    [
        ([], 20_000),
        (["training.learners=1"], 20_000),
        (["training.learners=8"], 80_000),
        (["training.learners=8", "replay.min_size=500"], 80_000),
        (["training.learners=8", "replay.capacity=3000"], 3_000),
    ],
)
def test_capacity_grows_with_the_learners_unless_it_is_set(assignments: list[str], capacity: int):
    assert load(*assignments).replay_capacity == capacity


def test_capacity_grows_however_the_learners_were_written():
    assert RunSpecification(training=TrainingSettings(learners=8)).replay_capacity == 80_000
    assert RunSpecification.model_validate({"training": {"learners": 8}}).replay_capacity == 80_000


def test_batch_that_fits_the_grown_capacity_is_allowed():
    assert load("training.learners=8", "algorithm.batch_size=70000").algorithm.batch_size == 70_000
    with pytest.raises(ConfigError, match=r"algorithm\.batch_size 70000 is larger than replay\.capacity 20000"):
        load("algorithm.batch_size=70000")


def test_sync_every_other_than_one_is_refused_under_gradient():
    with pytest.raises(ConfigError, match="sync_every must be 1"):
        load("update.rule=gradient", "update.sync_every=4")
    assert load("update.rule=gradient").update.steps_per_push == 1
    assert load("update.rule=average").update.steps_per_push == 8


@pytest.mark.parametrize("rule", ["average", "elastic", "delta", "gradient"])
def test_resolved_run_of_every_rule_reads_back_to_an_equal_one(tmp_path: Path, rule: str):
    specification = load(f"update.rule={rule}")
    (tmp_path / "run.yaml").write_text(to_yaml(specification))
    assert load(file=tmp_path / "run.yaml") == specification


def test_schedule_without_an_end_is_refused():
    with pytest.raises(ConfigError, match="a linear schedule needs final and steps"):
        load("algorithm.learning_rate={kind: linear, initial: 1.0}")


@pytest.mark.parametrize("end", ["final: 0.1", "steps: 9", "final: 0.1, steps: 9"])
def test_constant_schedule_with_an_end_is_refused(end: str):
    with pytest.raises(ConfigError) as caught:
        load(f"algorithm.learning_rate={{kind: constant, initial: 1.0, {end}}}")
    assert "algorithm.learning_rate: a constant schedule has neither final nor steps; set kind to linear or exp" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("algorithm.learning_rate=-1", "algorithm.learning_rate.initial=-1: Input should be greater than 0"),
        ("algorithm.learning_rate=0", "algorithm.learning_rate.initial=0: Input should be greater than 0"),
        (
            "algorithm.learning_rate={kind: linear, initial: 1, final: -1, steps: 9}",
            "algorithm.learning_rate.final=-1: Input should be greater than or equal to 0",
        ),
        ("exploration.epsilon=7", "exploration.epsilon.initial=7: Input should be less than or equal to 1"),
        (
            "exploration.epsilon={kind: linear, initial: 1, final: -0.1, steps: 9}",
            "exploration.epsilon.final=-0.1: Input should be greater than or equal to 0",
        ),
        ("replay.importance_exponent=-2", "replay.importance_exponent.initial=-2: Input should be greater than or"),
        (
            "replay.importance_exponent={kind: linear, initial: 0.4, final: 1.1, steps: 9}",
            "replay.importance_exponent.final=1.1: Input should be less than or equal to 1",
        ),
    ],
)
def test_schedule_outside_its_bounds_is_one_line_with_key_value_and_bound(assignment: str, complaint: str):
    with pytest.raises(ConfigError) as caught:
        load(assignment)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_learning_rate_may_end_at_zero():
    rate = load("algorithm.learning_rate={kind: linear, initial: 0.5, final: 0, steps: 10}").algorithm.learning_rate
    assert [rate.build()(step) for step in (0, 5, 10, 11)] == [0.5, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\xff"])
def test_unusable_file_is_one_line(tmp_path: Path, text: str):
    file = tmp_path / "run.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigError, match="name an existing YAML file"):
        load(file=tmp_path / "none.yaml")


def test_variables_that_name_no_section_are_left_to_others():
    assert load(ADQL_PARAMETER_SERVER_PORT="tcp://10.0.0.1:8420") == RunSpecification()


def test_settings_of_a_service_come_from_variables_of_their_name():
    settings = load_settings(LearnerSettings, {}, {"ADQL_REPLAY_URL": "http://replay:8430", "ADQL_AUTH": "false"})
    assert (settings.replay_url, settings.auth) == ("http://replay:8430", False)


def test_signature_that_was_never_read_is_asked_for_by_name():
    with pytest.raises(ConfigError, match=r"environment\.signature is not set; .*, or set it"):
        load().signature  # noqa: B018
    assert load("environment.signature={actions: 2}").signature.actions == 2


def test_goal_is_the_runs_own_before_the_environments():
    signature = "environment.signature={actions: 2, reward_threshold: 475.0}"
    assert load().goal is None
    assert load(signature).goal == 475.0
    assert load(signature, "training.goal=100").goal == 100.0


def test_hash_changes_with_identity_keys_alone():
    same = ["training.learners=8", "training.actors=4", "training.goal=5", "evaluation.episodes=3"]
    same += ["replay.capacity=9000"]
    other = ["algorithm.gamma=0.5", "network.hidden=[8]", "environment.id=Acrobot-v1", "update.rule=delta"]
    other += ["update.encoding=bfloat16"]
    assert {config_hash(load(key)) for key in same} == {config_hash(load())}
    assert len({config_hash(load(key)) for key in other} | {config_hash(load())}) == 6


def test_written_specification_reads_back_equal(tmp_path: Path):
    specification = load("environment.id=FrozenLake-v1", "network.kind=tabular", "run.name=lake")
    (tmp_path / "run.yaml").write_text(to_yaml(specification))
    assert load(file=tmp_path / "run.yaml") == specification


def test_child_gets_its_settings_and_no_variable_of_the_parents_specification():
    settings = LearnerSettings(replay_url="unix:/tmp/r.sock", auth=False)
    child = child_environment(settings, {"PATH": "/bin", "ADQL_ALGORITHM__GAMMA": "0.5"})
    assert child == {"PATH": "/bin", "ADQL_REPLAY_URL": "unix:/tmp/r.sock", "ADQL_AUTH": "False"}
    assert load_settings(LearnerSettings, {}, child) == settings
