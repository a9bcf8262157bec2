"""Every Prometheus metric of ADQL, named once; base units, and labels whose values come from closed sets.

Metrics stand in registries by who sets them, and a service's page shows its own ones: a learner says nothing of a
version that it does not make. An object without labels shows up with its initial value, one with labels when a label
value is first used.
"""

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.samples import Sample

PROCESS = CollectorRegistry(auto_describe=True)
"""Of every process."""
CLIENT = CollectorRegistry(auto_describe=True)
"""Of learners, actors and evaluators."""
LEARNER = CollectorRegistry(auto_describe=True)
EVALUATOR = CollectorRegistry(auto_describe=True)
PARAMETER_SERVER = CollectorRegistry(auto_describe=True)
REPLAY = CollectorRegistry(auto_describe=True)
CONTROLLER = CollectorRegistry(auto_describe=True)
VOLUME = CollectorRegistry(auto_describe=True)
"""Of services that have a volume of their own."""

Page = tuple[CollectorRegistry, ...]
"""What one service's /metrics shows."""
PROCESS_PAGE: Page = (PROCESS,)
LEARNER_PAGE: Page = (PROCESS, CLIENT, LEARNER)
EVALUATOR_PAGE: Page = (PROCESS, CLIENT, EVALUATOR)
PARAMETER_SERVER_PAGE: Page = (PROCESS, PARAMETER_SERVER, VOLUME)
REPLAY_PAGE: Page = (PROCESS, REPLAY, VOLUME)
CONTROLLER_PAGE: Page = (PROCESS, CONTROLLER)

_LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STALENESS_BUCKETS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)

ProcessCollector(namespace="adql", registry=PROCESS)


def _counter(of: CollectorRegistry, name: str, documentation: str, *labels: str) -> Counter:
    return Counter(f"adql_{name}", documentation, labels, registry=of)


def _gauge(of: CollectorRegistry, name: str, documentation: str, *labels: str) -> Gauge:
    return Gauge(f"adql_{name}", documentation, labels, registry=of)


class LateGauge(Gauge):
    """Shows no sample before it is set, where 0 would be a statement."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._is_set = False
        super().__init__(*args, **settings)

    def set(self, value: float) -> None:
        """Sets the value, and shows it from now on."""
        self._is_set = True
        super().set(value)

    def _child_samples(self) -> Iterable[Sample]:
        return super()._child_samples() if self._is_set else ()


def _late_gauge(of: CollectorRegistry, name: str, documentation: str) -> LateGauge:
    return LateGauge(f"adql_{name}", documentation, registry=of)


def _histogram(
    of: CollectorRegistry, name: str, documentation: str, *labels: str, buckets: tuple[float, ...] = _LATENCY_BUCKETS
) -> Histogram:
    return Histogram(f"adql_{name}", documentation, labels, buckets=buckets, registry=of)


# Learning: what the learner sees of its own episodes and gradient steps.
EPISODE_RETURN = _gauge(
    CLIENT, "episode_return", "Mean return of the last episodes, by policy (behaviour or greedy).", "policy"
)
EPISODE_LENGTH = _gauge(CLIENT, "episode_length_steps", "Mean length of the last episodes, by policy.", "policy")
EPISODES = _counter(LEARNER, "episodes_total", "Training episodes that ended.")
CUMULATIVE_REWARD = _gauge(LEARNER, "cumulative_reward", "Sum of all rewards of this process.")
SUCCESS_RATIO = _gauge(EVALUATOR, "success_ratio", "Share of the last greedy episodes that reached the goal.")
LOSS = _gauge(LEARNER, "loss", "Mean loss of the last gradient steps.")
TD_ERROR = _gauge(LEARNER, "td_error", "Mean absolute TD error of the last gradient steps.")
Q_MEAN = _gauge(LEARNER, "q_value_mean", "Mean Q of the last batch.")
Q_MAX = _gauge(LEARNER, "q_value_max", "Largest Q of the last batch.")
EPSILON = _gauge(LEARNER, "epsilon", "Mean ε of this learner's environment copies.")
LEARNING_RATE = _gauge(LEARNER, "learning_rate", "Learning rate now.")
GRADIENT_NORM = _gauge(LEARNER, "gradient_norm", "Euclidean norm of the last gradient before it is clipped.")
LOCAL_ENVIRONMENT_STEPS = _counter(LEARNER, "learner_environment_steps_total", "Environment steps of this process.")
LOCAL_LEARNER_STEPS = _counter(LEARNER, "learner_gradient_steps_total", "Gradient steps of this process.")
LOCAL_UPDATES = _counter(
    LEARNER, "learner_updates_total", "Updates of this process that were answered, by outcome.", "outcome"
)
ACTIVITY_SECONDS = _counter(LEARNER, "learner_activity_seconds_total", "A learner's time by activity.", "activity")
OUTLIERS_DROPPED = _counter(
    LEARNER, "learner_outliers_dropped_total", "Updates that the loss gate of a learner dropped."
)
LEARNER_DIVERGENCE = _gauge(LEARNER, "parameter_divergence_ratio", "‖θ_i − θ‖/‖θ‖ at the last push.")

# The wire, as its clients see it.
PUSH_SECONDS = _histogram(LEARNER, "push_seconds", "From the beginning of a push to its answer.")
PULL_SECONDS = _histogram(LEARNER, "pull_seconds", "From the beginning of a pull to its answer, long polls apart.")
WIRE_BYTES = _counter(
    CLIENT,
    "wire_bytes_total",
    "Bulk bytes by operation, direction (sent or received) and encoding.",
    *("operation", "direction", "encoding"),
)
RETRIES = _counter(CLIENT, "retries_total", "Requests sent again, by the kind of error.", "kind")
RUN_CHANGES = _counter(CLIENT, "run_changes_total", "Times that a server came back with another run of the name.")
RECONNECTS = _counter(CLIENT, "reconnects_total", "Connections made again after one was lost.")
UPDATES_AT_RISK = _counter(LEARNER, "updates_at_risk_total", "Unacknowledged updates that a client had to forget.")
UPDATES_RESENT = _counter(LEARNER, "updates_resent_total", "Unacknowledged updates sent again after a new epoch.")
UPDATES_LOST = _counter(
    LEARNER, "updates_lost_total", "Updates that a crash of the server took and that were then refused as stale."
)

# Parameter server.
UPDATES_RECEIVED = _counter(
    PARAMETER_SERVER, "updates_received_total", "Pushes that came; each has one outcome in updates_total."
)
UPDATES = _counter(
    PARAMETER_SERVER, "updates_total", "Pushes by outcome: applied, duplicate, or the reason why not.", "outcome"
)
STALENESS = _histogram(
    PARAMETER_SERVER, "staleness_versions", "Versions applied between pull and push.", buckets=_STALENESS_BUCKETS
)
STALENESS_BOUND = _gauge(
    PARAMETER_SERVER,
    "staleness_bound_versions",
    "How far behind an update may be with the live learners; only under the policy reject it is refused beyond that.",
    "policy",
)
VERSION = _gauge(PARAMETER_SERVER, "version", "Version of the parameters: +1 per applied update.")
DURABLE_VERSION = _gauge(PARAMETER_SERVER, "durable_version", "Newest committed version.")
EPOCH = _gauge(PARAMETER_SERVER, "epoch", "+1 each time a server takes ownership of the run.")
RUN_ENVIRONMENT_STEPS = _gauge(
    PARAMETER_SERVER, "run_environment_steps", "The run's clock of environment steps, over all restarts."
)
RUN_LEARNER_STEPS = _gauge(
    PARAMETER_SERVER, "run_learner_steps", "The run's clock of learner steps, over all restarts."
)
BUDGET_STEPS = _gauge(
    PARAMETER_SERVER, "run_budget_environment_steps", "Environment steps after which the run is over."
)
GOAL_RETURN = _late_gauge(PARAMETER_SERVER, "goal_return", "Greedy mean return that ends the run, if there is one.")
ENVIRONMENT_STEPS = _counter(
    PARAMETER_SERVER,
    "environment_steps_total",
    "Growth of the run's clock of environment steps while this process served it.",
)
LEARNER_STEPS = _counter(
    PARAMETER_SERVER, "learner_steps_total", "Growth of the run's clock of learner steps while this process served it."
)
ACTIVE_LEARNERS = _gauge(PARAMETER_SERVER, "active_learners", "Live sessions that push.")
SESSIONS_EXPIRED = _counter(PARAMETER_SERVER, "sessions_expired_total", "Sessions whose lease ran out.")
RUN_STATUS = _gauge(PARAMETER_SERVER, "run_status", "1 at the run's present status.", "status")
COMMIT_SECONDS = _histogram(PARAMETER_SERVER, "commit_seconds", "One commit of the whole state to the store.")
COMMIT_BYTES = _counter(PARAMETER_SERVER, "commit_bytes_total", "Bytes committed to the store.")
LAST_COMMIT = _gauge(
    PARAMETER_SERVER, "last_commit_timestamp_seconds", "Unix time of the newest commit that the store confirmed."
)
COMMIT_FAILURES = _counter(
    PARAMETER_SERVER,
    "commit_failures_total",
    "Commits that the store did not confirm, and looks at a store that was away.",
)
STORE_INCIDENTS = _counter(PARAMETER_SERVER, "store_incidents_total", "Times the store came back empty or older.")
STORE_MEMORY = _late_gauge(
    PARAMETER_SERVER, "store_memory_bytes", "Memory that the store uses, by its INFO, if it may be asked."
)
STORE_MEMORY_LIMIT = _late_gauge(
    PARAMETER_SERVER, "store_memory_limit_bytes", "The store's maxmemory, by its INFO, else what its machine has."
)
EVALUATIONS_WAITING = _gauge(
    PARAMETER_SERVER, "evaluations_waiting", "Kept versions that no evaluator has reported yet."
)
EVALUATIONS = _counter(
    PARAMETER_SERVER, "evaluations_total", "Evaluations reported, by purpose (periodic or confirm).", "purpose"
)
EVALUATION_RETURN = _late_gauge(PARAMETER_SERVER, "evaluation_return", "Mean greedy return of the last evaluation.")
EVALUATION_LOWEST = _late_gauge(
    PARAMETER_SERVER, "evaluation_return_lowest", "Lowest greedy return of the last evaluation."
)
EVALUATION_HIGHEST = _late_gauge(
    PARAMETER_SERVER, "evaluation_return_highest", "Highest greedy return of the last evaluation."
)

# Replay.
REPLAY_SIZE = _gauge(REPLAY, "replay_size_transitions", "Transitions in the table.")
REPLAY_BYTES = _gauge(REPLAY, "replay_size_bytes", "Bytes of transitions in the table.")
REPLAY_CAPACITY = _gauge(REPLAY, "replay_capacity_transitions", "Transitions for which the table has room.")
REPLAY_INSERTS = _counter(REPLAY, "replay_inserts_total", "Transitions inserted.")
REPLAY_SAMPLES = _counter(REPLAY, "replay_samples_total", "Transitions sampled.")
REPLAY_RATIO = _gauge(
    REPLAY, "replay_samples_per_insert", "Samples per insert so far, the first min_size inserts left out."
)
REPLAY_TARGET = _late_gauge(
    REPLAY, "replay_samples_per_insert_target", "Samples per insert that the rate limiter keeps, if it does."
)
REPLAY_ERROR = _gauge(REPLAY, "replay_limiter_error", "(inserts − min_size)·ratio − samples.")
REPLAY_BOUND = _gauge(REPLAY, "replay_limiter_bound", "How far the limiter's error may be from 0.")
REPLAY_WAIT_SECONDS = _counter(
    REPLAY,
    "replay_wait_seconds_total",
    "Seconds that requests waited for the rate limiter, by verb (insert or sample).",
    "verb",
)
REPLAY_REFUSED = _counter(REPLAY, "replay_refused_total", "Requests answered 429, by verb (insert or sample).", "verb")
REPLAY_PRIORITY_MEAN = _gauge(REPLAY, "replay_priority_mean", "Mean priority of the table.")
REPLAY_PRIORITY_MAX = _gauge(REPLAY, "replay_priority_max", "Largest priority of the table.")
REPLAY_PRIORITIES = _counter(
    REPLAY, "replay_priorities_total", "Priorities returned, by outcome (updated or ignored).", "outcome"
)
REPLAY_SAMPLE_AGE = _histogram(
    REPLAY,
    "replay_sample_age_inserts",
    "Inserts since a sampled transition came in.",
    buckets=tuple(10.0**e for e in range(1, 8)),
)
REPLAY_SNAPSHOT_SECONDS = _gauge(REPLAY, "replay_snapshot_seconds", "Duration of the last snapshot.")
REPLAY_SNAPSHOT_FAILURES = _counter(
    REPLAY,
    "replay_snapshot_failures_total",
    "Snapshots that failed or were corrupt, by step (write or restore).",
    "step",
)
REPLAY_LEARNERS = _gauge(REPLAY, "replay_learners", "Live sessions that sample.")

# Every service with a volume.
VOLUME_WRITE_FAILING = _gauge(
    VOLUME, "volume_write_failing", "1 while something could not be written to this service's volume, else 0."
)

# Controller.
CONTROLLER_WANTED = _late_gauge(CONTROLLER, "controller_wanted_replicas", "Learners that there are to be.")
CONTROLLER_DECISIONS = _counter(
    CONTROLLER, "controller_decisions_total", "Looks at the run, by what decided the number of learners.", "reason"
)
CONTROLLER_CHANGES = _counter(
    CONTROLLER,
    "controller_changes_total",
    "Changes of the number of learners, by outcome: done, conflict (somebody else changed the Deployment), failed.",
    "outcome",
)

# Every server.
REQUESTS = _counter(PROCESS, "http_requests_total", "Answers by class of status.", "status_class")
