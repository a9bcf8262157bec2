"""Replay: the table, its rate limiter, ages and priorities."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Panel, Query, Section, dashboard
from tools.dashboards.promql import of, quantile, rate

TABLE = Section(
    "What is in the table?",
    [
        Panel(
            "Size",
            "short",
            "Transitions in the table, and for how many there is room; the oldest are evicted first.",
            [
                Query(of("adql_replay_size_transitions"), "size {{pod}}"),
                Query(of("adql_replay_capacity_transitions"), "capacity {{pod}}"),
            ],
        ),
        Panel("Bytes", "bytes", "Bytes of transitions in the table.", [Query(of("adql_replay_size_bytes"))]),
        Panel(
            "Sampling learners",
            "none",
            "Live sessions that sample; the limiter's bound grows with them.",
            [Query(of("adql_replay_learners"))],
        ),
    ],
)
FLOW = Section(
    "Do inserts and samples keep in step?",
    [
        Panel(
            "Inserts and samples a second",
            "cps",
            "Transitions that come in, and transitions that are sampled.",
            [
                Query(rate("adql_replay_inserts_total"), "inserts {{pod}}"),
                Query(rate("adql_replay_samples_total"), "samples {{pod}}"),
            ],
        ),
        Panel(
            "Samples per insert",
            "none",
            "So far, the first replay.min_size inserts left out, and the target that the rate limiter keeps.",
            [
                Query(of("adql_replay_samples_per_insert"), "samples per insert {{pod}}"),
                Query(of("adql_replay_samples_per_insert_target"), "target {{pod}}"),
            ],
        ),
        Panel(
            "Limiter error",
            "short",
            "(inserts − min_size)·ratio − samples in transitions: above the bound inserts wait, below its negative "
            "samples do.",
            [
                Query(of("adql_replay_limiter_error"), "error {{pod}}"),
                Query(of("adql_replay_limiter_bound"), "bound {{pod}}"),
                Query(f"-{of('adql_replay_limiter_bound')}", "bound, samples {{pod}}"),
            ],
            lowest=None,
        ),
        Panel(
            "Limiter waits",
            "percentunit",
            "Seconds a second that requests wait in the table, by verb; 1 is one learner that does nothing else.",
            [Query(rate("adql_replay_wait_seconds_total", by="verb"), "{{verb}}")],
        ),
        Panel(
            "Refused",
            "cps",
            "Requests that waited in vain and were answered 429, by verb. A learner that is refused one verb does the "
            "other.",
            [Query(rate("adql_replay_refused_total", by="verb"), "{{verb}}")],
        ),
    ],
)
CONTENT = Section(
    "What is sampled?",
    [
        Panel(
            "Sample age p50 and p99",
            "short",
            "Inserts since the sampled transitions came in, mean of a request. Old samples teach an old policy.",
            [
                Query(quantile(0.5, "adql_replay_sample_age_inserts"), "p50 {{pod}}"),
                Query(quantile(0.99, "adql_replay_sample_age_inserts"), "p99 {{pod}}"),
            ],
        ),
        Panel(
            "Priorities",
            "none",
            "Mean and largest priority of the table; 1 where it samples uniformly.",
            [
                Query(of("adql_replay_priority_mean"), "mean {{pod}}"),
                Query(of("adql_replay_priority_max"), "max {{pod}}"),
            ],
        ),
        Panel(
            "Priorities returned",
            "cps",
            "TD errors that learners gave back; ignored are those of transitions that were evicted meanwhile.",
            [Query(rate("adql_replay_priorities_total", by="outcome"), "{{outcome}}")],
        ),
    ],
)
SNAPSHOTS = Section(
    "Would it survive a restart?",
    [
        Panel(
            "Snapshot duration",
            "s",
            "Duration of the last snapshot to the service's volume; 0 before the first.",
            [Query(of("adql_replay_snapshot_seconds"))],
        ),
        Panel(
            "Snapshot failures",
            "none",
            "Snapshots since the service started that could not be written, or were corrupt when they were read.",
            [Query(of("adql_replay_snapshot_failures_total"), "{{step}} {{pod}}")],
        ),
    ],
)


def board() -> Dashboard:
    """Returns the dashboard."""
    sections = [TABLE, FLOW, CONTENT, SNAPSHOTS]
    return dashboard("Replay", "The replay table, its rate limiter and what is sampled from it.", sections)
