"""For each alert what it has to tell apart: series a minute, in promtool's notation, at which it fires or not."""

from dataclasses import dataclass, field

RUNNING = {'adql_run_status{status="running"}': "1x180", 'adql_run_status{status="budget"}': "0x180"}
OVER = {'adql_run_status{status="running"}': "0x180", 'adql_run_status{status="budget"}': "1x180"}
LABELS = 'namespace="rl", app_kubernetes_io_instance="cart"'
APPLIED, STALE, INVALID = (
    f'adql_updates_total{{outcome="{outcome}"}}' for outcome in ("applied", "stale", "invalid_update")
)
REFUSED, INSERTS = 'adql_replay_refused_total{verb="sample"}', "adql_replay_inserts_total{}"
USED, LIMIT = "adql_store_memory_bytes{}", "adql_store_memory_limit_bytes{}"
VERSION, DURABLE, COMMITTED = (
    "adql_version{}",
    "adql_durable_version{}",
    "adql_last_commit_timestamp_seconds{}",
)
RETURN = "adql_evaluation_return{}"
UNWRITABLE = 'adql_volume_write_failing{pod="learner-1"}'
STARTED = 'adql_process_start_time_seconds{job="learner", pod="learner-1"}'
UP = 'up{job="learner", pod="learner-1"}'
SERVER_UP = 'up{job="parameter-server"}'
BY_LABEL = 'job="kubernetes-pods", app_kubernetes_io_component="{}", pod="learner-1"'
"""Of pods that one job finds by their annotations."""


def staleness(low: str, high: str) -> dict[str, str]:
    """Growth a minute of the buckets up to 8, and of all."""
    buckets = {"4": low, "8": low, "32": high, "+Inf": high}
    return {f'adql_staleness_versions_bucket{{le="{le}"}}': f"0+{growth}x180" for le, growth in buckets.items()}


@dataclass(frozen=True)
class Case:
    """What is so, and whether ``alert`` fires after so many minutes; ``labels`` are those beside the run's."""

    alert: str
    what: str
    fires: bool
    series: dict[str, str]
    minutes: int = 20
    labels: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.alert} {'fires' if self.fires else 'is silent'}: {self.what}"


POD = {"pod": "learner-1"}
CASES = [
    Case("AdqlNoUpdates", "nothing was applied", True, {APPLIED: "100x180", **RUNNING}),
    Case("AdqlNoUpdates", "the server is down", True, {SERVER_UP: "0x180"}),
    Case("AdqlNoUpdates", "the server of a chart is down", True, {'up{job="rl/adql-parameter-server"}': "0x180"}),
    Case(
        "AdqlNoUpdates", "an annotated server is down", True, {f"up{{{BY_LABEL.format('parameter-server')}}}": "0x180"}
    ),
    Case("AdqlNoUpdates", "updates come", False, {APPLIED: "0+100x180", **RUNNING}),
    Case("AdqlNoUpdates", "a pause of 5 minutes", True, {APPLIED: "0+100x15 1500x180", **RUNNING}, minutes=20),
    Case("AdqlNoUpdates", "the server is down for 5 minutes", True, {SERVER_UP: "1x15 0x180"}, minutes=21),
    Case("AdqlNoUpdates", "the server is down for 4 minutes", False, {SERVER_UP: "1x15 0x180"}, minutes=20),
    Case("AdqlNoUpdates", "a pause of 4 minutes", False, {APPLIED: "0+100x15 1500x180", **RUNNING}, minutes=19),
    Case("AdqlNoUpdates", "the run is over", False, {APPLIED: "100x180", **OVER, SERVER_UP: "1x9"}),
    Case("AdqlNoUpdates", "the replay service is down", False, {'up{job="replay"}': "0x180"}),
    Case("AdqlLearnerCrashLooping", "a start a minute", True, {STARTED: "0+60x180"}, labels=POD),
    Case("AdqlLearnerCrashLooping", "it never answers", True, {UP: "0x180"}, labels=POD),
    Case(
        "AdqlLearnerCrashLooping",
        "an actor",
        True,
        {STARTED.replace('job="learner', 'job="actor'): "0+60x180"},
        labels=POD,
    ),
    Case(
        "AdqlLearnerCrashLooping",
        "an annotated pod starts once a minute",
        True,
        {f"adql_process_start_time_seconds{{{BY_LABEL.format('actor')}}}": "0+60x180"},
        labels=POD,
    ),
    Case(
        "AdqlLearnerCrashLooping",
        "an annotated pod never answers",
        True,
        {f"up{{{BY_LABEL.format('learner')}}}": "0x180"},
        labels=POD,
    ),
    Case(
        "AdqlLearnerCrashLooping",
        "another annotated pod starts once a minute",
        False,
        {f"adql_process_start_time_seconds{{{BY_LABEL.format('replay')}}}": "0+60x180"},
    ),
    Case("AdqlLearnerCrashLooping", "one restart", False, {STARTED: "0x12 720x180", UP: "1x180"}),
    Case("AdqlLearnerCrashLooping", "slow to start", False, {UP: "0 0 0 1x180"}, minutes=8),
    Case(
        "AdqlLearnerCrashLooping",
        "another service restarts",
        False,
        {'adql_process_start_time_seconds{job="replay", pod="replay"}': "0+60x180"},
    ),
    Case("AdqlStalenessOverBound", "1 in 20 is stale", True, {APPLIED: "0+95x180", STALE: "0+5x180"}),
    Case("AdqlStalenessOverBound", "1 in 200 is stale", False, {APPLIED: "0+199x180", STALE: "0+1x180"}),
    Case("AdqlStalenessOverBound", "nothing comes", False, {APPLIED: "5x180", STALE: "9x180"}),
    Case(
        "AdqlStalenessOverBound",
        "damped updates are beyond it",
        True,
        {'adql_staleness_bound_versions{policy="damp"}': "8x180", **staleness("90", "100")},
    ),
    Case(
        "AdqlStalenessOverBound",
        "damped updates are within it",
        False,
        {'adql_staleness_bound_versions{policy="damp"}': "8x180", **staleness("100", "100")},
    ),
    Case("AdqlReplayStarving", "samples are refused, no inserts", True, {REFUSED: "0+60x180", INSERTS: "900x180"}),
    Case("AdqlReplayStarving", "the table is being filled", False, {REFUSED: "0+60x180", INSERTS: "0+900x180"}),
    Case("AdqlReplayStarving", "the run is over, nobody asks", False, {REFUSED: "60x180", INSERTS: "900x180"}),
    Case("AdqlInvalidUpdates", "one was refused", True, {INVALID: "0x15 1x180"}),
    Case("AdqlInvalidUpdates", "none was refused", False, {INVALID: "0x180"}),
    Case("AdqlInvalidUpdates", "the last one is long ago", False, {INVALID: "0x5 1x180"}, minutes=60),
    Case("AdqlStoreMemoryHigh", "86 %", True, {USED: "86x180", LIMIT: "100x180"}),
    Case("AdqlStoreMemoryHigh", "84 %", False, {USED: "84x180", LIMIT: "100x180"}),
    Case("AdqlStoreMemoryHigh", "no limit is known", False, {USED: "86x180", LIMIT: "0x180"}),
    Case("AdqlNoCommit", "the store takes nothing", True, {VERSION: "0+9x180", DURABLE: "9x180", COMMITTED: "60x180"}),
    Case("AdqlNoCommit", "nothing is left to commit", False, {VERSION: "9x180", DURABLE: "9x180", COMMITTED: "60x180"}),
    Case("AdqlNoCommit", "commits go on", False, {VERSION: "1+9x180", DURABLE: "0+9x180", COMMITTED: "0+60x180"}),
    Case("AdqlVolumeUnwritable", "a write fails", True, {UNWRITABLE: "0x10 1x170"}, labels=POD),
    Case("AdqlVolumeUnwritable", "it is written again", False, {UNWRITABLE: "0x10 1x5 0x165"}),
    Case("AdqlVolumeUnwritable", "it failed for a minute", False, {UNWRITABLE: "0x10 1x2 0x168"}, minutes=12),
    Case("AdqlReturnFalling", "it fell from 400 to 50", True, {RETURN: "20+20x19 50x180", **RUNNING}, minutes=60),
    Case("AdqlReturnFalling", "negative returns fell", True, {RETURN: "-500+20x20 -450x180", **RUNNING}, minutes=60),
    Case("AdqlReturnFalling", "it rises", False, {RETURN: "20+3x180", **RUNNING}, minutes=100),
    Case("AdqlReturnFalling", "one bad evaluation", False, {RETURN: "400x40 50x2 400x180", **RUNNING}, minutes=60),
    Case("AdqlReturnFalling", "it wavers a little", False, {RETURN: "500x40 460x180", **RUNNING}, minutes=70),
    Case("AdqlReturnFalling", "the run is over", False, {RETURN: "20+20x19 50x180", **OVER}, minutes=60),
]
