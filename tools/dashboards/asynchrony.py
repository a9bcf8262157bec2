"""Asynchrony: staleness, updates, wire and durability."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import HeatMap, Panel, Query, Section, dashboard
from tools.dashboards.promql import buckets, of, quantile, rate


def _quantiles(histogram: str) -> list[Query]:
    return [Query(quantile(0.5, histogram), "p50 {{pod}}"), Query(quantile(0.99, histogram), "p99 {{pod}}")]


STALENESS = Section(
    "How stale are updates?",
    [
        HeatMap(
            "Staleness",
            "none",
            "Applied updates by how many versions the server had applied between the learner's pull and its push. With "
            "L learners, L − 1 is normal, and one more where pushes overlap with learning.",
            [Query(buckets("adql_staleness_versions"), "{{le}}")],
        ),
        Panel(
            "Staleness p50 and p99",
            "none",
            "Median and 99th percentile of applied updates, in versions, and the bound with the live learners. Under "
            "the policy reject an update beyond the bound is refused.",
            [
                *_quantiles("adql_staleness_versions"),
                Query(of("adql_staleness_bound_versions"), "bound ({{policy}}) {{pod}}"),
            ],
        ),
        Panel(
            "Parameter divergence",
            "percentunit",
            "‖θ_i − θ‖/‖θ‖ of each learner at its last push: how far it has gone from the server's parameters.",
            [Query(of("adql_parameter_divergence_ratio"))],
        ),
    ],
)
UPDATES = Section(
    "What becomes of updates?",
    [
        Panel(
            "Updates a second by learner",
            "cps",
            "Updates of each learner that the server applied.",
            [Query(rate("adql_learner_updates_total", 'outcome="applied"'))],
        ),
        Panel(
            "Refused and duplicate updates",
            "cps",
            "Pushes that were not applied, by reason: stale ones are normal in small numbers, duplicates follow "
            "answers that were lost, invalid_update is one that is not finite or too large.",
            [Query(rate("adql_updates_total", 'outcome!="applied"', by="outcome"), "{{outcome}}")],
        ),
        Panel(
            "Updates received",
            "cps",
            "Pushes that came to the server, and those that it applied.",
            [
                Query(rate("adql_updates_received_total"), "received {{pod}}"),
                Query(rate("adql_updates_total", 'outcome="applied"'), "applied {{pod}}"),
            ],
        ),
        Panel(
            "Version",
            "short",
            "Version of the parameters, +1 with each applied update, and the newest one that the store has confirmed. "
            "Both fall back to the durable one when the server is started again.",
            [Query(of("adql_version"), "version {{pod}}"), Query(of("adql_durable_version"), "durable {{pod}}")],
        ),
        Panel(
            "Epoch",
            "none",
            "+1 each time a server takes ownership of the run: a step is a restart of the server or a lost store.",
            [Query(of("adql_epoch"))],
        ),
        Panel(
            "Updates at risk",
            "none",
            "Unacknowledged updates since the learner started: at risk were forgotten, lost went with a crash of the "
            "server and were then refused as stale, resent were sent again under a new epoch.",
            [
                Query(of("adql_updates_at_risk_total"), "at risk {{pod}}"),
                Query(of("adql_updates_lost_total"), "lost {{pod}}"),
                Query(of("adql_updates_resent_total"), "resent {{pod}}"),
            ],
        ),
    ],
)
WIRE = Section(
    "What does the wire cost?",
    [
        Panel(
            "Push p50 and p99",
            "s",
            "From the beginning of a push to its answer with the new parameters, as the learner sees it.",
            _quantiles("adql_push_seconds"),
        ),
        Panel(
            "Pull p50 and p99",
            "s",
            "From the beginning of a pull to its answer, as the learner sees it; long polls are left out.",
            _quantiles("adql_pull_seconds"),
        ),
        Panel(
            "Bytes a second",
            "Bps",
            "Parameters and updates on the wire by operation, direction (as the client sees it) and encoding.",
            [
                Query(
                    rate("adql_wire_bytes_total", by="operation, direction, encoding"),
                    "{{operation}} {{direction}} {{encoding}}",
                )
            ],
        ),
        Panel(
            "Retries",
            "cps",
            "Requests that clients sent again, by the kind of error. rate_limited is the replay table asking for "
            "patience.",
            [Query(rate("adql_retries_total", by="kind"), "{{kind}}")],
        ),
        Panel(
            "Reconnects",
            "none",
            "Connections made again since a client started, and times that a server came back with another run.",
            [
                Query(of("adql_reconnects_total"), "reconnects {{pod}}"),
                Query(of("adql_run_changes_total"), "run changes {{pod}}"),
            ],
        ),
        Panel(
            "Requests",
            "reqps",
            "Answers of parameter server and replay by class of status. 4xx holds refused updates and 429s.",
            [Query(rate("adql_http_requests_total", by="status_class, pod"), "{{status_class}} {{pod}}")],
        ),
    ],
)
DURABILITY = Section(
    "Is it durable?",
    [
        Panel(
            "Commit p50 and p99",
            "s",
            "One commit of the whole state to the store: parameters, optimizer state, sessions, clocks.",
            _quantiles("adql_commit_seconds"),
        ),
        Panel(
            "Commits",
            "cps",
            "Commits a second; as many as durability.commit_duty allows.",
            [Query(rate("adql_commit_seconds_count"))],
        ),
        Panel(
            "Commit bytes",
            "Bps",
            "Bytes a second that are committed to the store.",
            [Query(rate("adql_commit_bytes_total"))],
        ),
        Panel(
            "Since the last commit",
            "s",
            "Time since the store confirmed a commit. While nothing changes nothing is committed.",
            [Query(f"time() - {of('adql_last_commit_timestamp_seconds')}")],
        ),
        Panel(
            "Commit failures",
            "none",
            "Since the server started: commits that the store did not confirm, and times that it came back empty or "
            "older than it was.",
            [
                Query(of("adql_commit_failures_total"), "failures {{pod}}"),
                Query(of("adql_store_incidents_total"), "store incidents {{pod}}"),
            ],
        ),
    ],
)


def board() -> Dashboard:
    """Returns the dashboard."""
    sections = [STALENESS, UPDATES, WIRE, DURABILITY]
    return dashboard("Asynchrony", "Staleness, updates, wire and durability of a run.", sections)
