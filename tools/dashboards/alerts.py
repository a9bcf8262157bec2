"""Alert rules: what somebody has to look at, with a runbook in the annotations.

Expressions keep apart what runs in other namespaces and releases; under compose both labels are empty.
"""

from dataclasses import dataclass
from typing import Any

RUN = "namespace, app_kubernetes_io_instance"
"""The labels that tell runs apart."""
RUNBOOK = "runbook"
LEARNERS = "learner|actor"
RUNNING = f'max by ({RUN}) (adql_run_status{{status=~"running|confirming"}}) == 1'


def _among(expression: str, components: str) -> str:
    """Returns ``expression`` of components, known by their job, or by their label where one job scrapes all pods."""
    selectors = (f'job=~".*({components})"', f'app_kubernetes_io_component=~"{components}"')
    return f"({' or '.join(expression.replace('{}', f'{{{one}}}') for one in selectors)})"


@dataclass(frozen=True)
class Alert:
    """One rule; ``runbook`` says what to look at and what to do."""

    name: str
    expression: str
    wait: str
    """How long the expression has to hold."""
    severity: str
    summary: str
    description: str
    runbook: str

    def rule(self) -> dict[str, Any]:
        """Returns the rule as Prometheus reads it."""
        told = {"summary": self.summary, "description": self.description, RUNBOOK: self.runbook}
        rule = {"alert": self.name, "expr": self.expression, "for": self.wait, "labels": {"severity": self.severity}}
        return {**rule, "annotations": told}


ALERTS = [
    Alert(
        "AdqlNoUpdates",
        f"""\
(
  sum by ({RUN}) (rate(adql_updates_total{{outcome="applied"}}[2m])) == 0
  and on ({RUN}) {RUNNING}
)
or max by ({RUN}) {_among("max_over_time(up{}[2m])", "parameter-server")} == 0""",
        "3m",
        "critical",
        "No update was applied for 5 minutes",
        "The run is not over, and its parameter server has applied no update for 5 minutes, or does not answer.",
        "Look at 'Learners up'. None: look why learners do not start, or whether somebody scaled them to 0 on purpose "
        "(then silence this). Some: 'Refused and duplicate updates' says why updates are refused, 'Commit failures' "
        "whether the store is away, 'Limiter waits' whether learners wait for transitions. Their logs name whom they "
        "wait for. No answer of the parameter server: look at its pod and its log; it starts again "
        "from the last commit by itself.",
    ),
    Alert(
        "AdqlLearnerCrashLooping",
        f"""\
sum by ({RUN}, pod) {_among("changes(adql_process_start_time_seconds{}[15m])", LEARNERS)} > 2
or sum by ({RUN}, pod) {_among("avg_over_time(up{}[10m])", LEARNERS)} < 0.5""",
        "5m",
        "warning",
        "Learner {{ $labels.pod }} starts again and again",
        "The learner was started more than twice again within 15 minutes, or answered less than half of the scrapes of "
        "the last 10. The others go on without it.",
        "Read the last line of the earlier life: kubectl logs --previous {{ $labels.pod }}, or docker compose logs "
        "learner. Exit code 2 is bad input and names the key and the way out; OOMKilled needs a larger memory limit or "
        "a smaller algorithm.batch_size or environment.copies; an environment that fails is told with its traceback.",
    ),
    Alert(
        "AdqlStalenessOverBound",
        f"""\
sum by ({RUN}) (rate(adql_updates_total{{outcome="stale"}}[5m]))
  / (sum by ({RUN}) (rate(adql_updates_total{{outcome=~"applied|stale"}}[5m])) > 0) > 0.01
or histogram_quantile(0.99, sum by (le, {RUN}) (rate(adql_staleness_versions_bucket[5m])))
  > on ({RUN}) max by ({RUN}) (adql_staleness_bound_versions{{policy!="reject"}})""",
        "10m",
        "warning",
        "The 99th percentile of staleness is over its bound",
        "More than 1 % of the updates are further behind than the bound. Under the policy reject they are refused and "
        "their work is lost; under damp and accept they are applied.",
        "Look at 'Staleness' and 'Push p50 and p99'. A slow learner among fast ones: give it more CPU, or remove "
        "it. A slow server: more CPU for the parameter server, fewer learners, or a larger update.sync_every, so that "
        "each of them pushes less often. The bound follows the live learners unless update.staleness.max_versions is "
        "set.",
    ),
    Alert(
        "AdqlReplayStarving",
        f"""\
sum by ({RUN}) (rate(adql_replay_refused_total{{verb="sample"}}[5m])) > 0
and on ({RUN}) sum by ({RUN}) (rate(adql_replay_inserts_total[5m])) == 0""",
        "5m",
        "warning",
        "Learners ask the replay table for transitions, and nobody inserts any",
        "For 5 minutes sample requests were refused while nothing was inserted: learning stands still.",
        "Look at 'Environment steps a second'. None: the actors are gone, or their environments hang; add some "
        "(`adql k8s scale N`, with --actors where actor.enabled) and read their logs. Some: look at 'Refused', and in "
        "the actors' logs for why inserts do not arrive.",
    ),
    Alert(
        "AdqlInvalidUpdates",
        f'sum by ({RUN}) (increase(adql_updates_total{{outcome="invalid_update"}}[10m])) > 0',
        "0m",
        "warning",
        "Updates that are not finite, or too large, were refused",
        "The parameters are safe: such an update is refused before anything is added. A learner that diverges keeps "
        "on sending them.",
        "Look at 'TD loss', 'Q values' and 'Gradient norm'. One learner alone: its machine or its "
        "environment; delete its pod. All of them: lower algorithm.learning_rate, set algorithm.max_gradient_norm, and "
        "go on from the best policy or an earlier checkpoint if the return has fallen.",
    ),
    Alert(
        "AdqlStoreMemoryHigh",
        f"""\
max by ({RUN}) (adql_store_memory_bytes)
  / on ({RUN}) (max by ({RUN}) (adql_store_memory_limit_bytes) > 0) > 0.85""",
        "5m",
        "warning",
        "The weight store uses over 85 % of its memory",
        "A store that is full takes no commit: the run then stops, and nothing that is committed is lost.",
        "Raise maxmemory (valkey.maxmemory in the chart, with its memory limit), or remove the hashes of runs that are "
        "over: adql:NAME, one a run. A commit needs room for a second copy of the state.",
    ),
    Alert(
        "AdqlNoCommit",
        f"""\
max by ({RUN}) (time() - adql_last_commit_timestamp_seconds) > 60
and on ({RUN}) max by ({RUN}) (adql_version - adql_durable_version) > 0""",
        "1m",
        "critical",
        "Updates have not been committed for over a minute",
        "There are versions that the weight store has not confirmed, and its last commit is over a minute old. If the "
        "parameter server dies now, they are lost; learners that live send them again.",
        "Look at 'Commit failures' and 'Commit p50 and p99'. The parameter server's log says what the store answers: "
        "it may be away, full, loading, read-only, or set to lose updates (appendonly, appendfsync, maxmemory-policy). "
        "Start it, make room, or set it right; the server then goes on by itself.",
    ),
    Alert(
        "AdqlVolumeUnwritable",
        f"max by ({RUN}, pod) (adql_volume_write_failing) > 0",
        "2m",
        "warning",
        "{{ $labels.pod }} cannot write to its volume",
        "Training goes on, and the weight store has every commit. But checkpoints, policies or replay snapshots are "
        "not written, and a parameter server that is started again may not find out that its store has lost commits.",
        "The log of {{ $labels.pod }} says what cannot be written and why, `adql k8s status` too. No space left: give "
        "the claim more room (`kubectl edit pvc`, where the StorageClass lets it grow), or remove folders of old runs. "
        "Read-only or an input/output error: mend or replace the volume, with the store left as it is. This ends "
        "with the next one that is written of what failed; do not start the service anew before, since at its start it "
        "needs its volume.",
    ),
    Alert(
        "AdqlReturnFalling",
        f"""\
(
  max by ({RUN}) (max_over_time(avg_over_time(adql_evaluation_return[10m])[2h:5m]))
    - max by ({RUN}) (avg_over_time(adql_evaluation_return[10m]))
)
> on ({RUN}) 0.5 * (
  max by ({RUN}) (max_over_time(avg_over_time(adql_evaluation_return[10m])[2h:5m]))
    - min by ({RUN}) (min_over_time(avg_over_time(adql_evaluation_return[10m])[2h:5m]))
)
and on ({RUN}) (
  max by ({RUN}) (max_over_time(avg_over_time(adql_evaluation_return[10m])[2h:5m]))
    - max by ({RUN}) (avg_over_time(adql_evaluation_return[10m]))
) > 0.2 * abs(max by ({RUN}) (max_over_time(avg_over_time(adql_evaluation_return[10m])[2h:5m])))
and on ({RUN}) {RUNNING}""",
        "15m",
        "warning",
        "The evaluation return has fallen",
        "For 15 minutes the mean greedy return of 10 minutes has been nearer to the worst than to the best of the last "
        "2 hours, and over 20 % below the best.",
        "The best policy is kept (policy-best): nothing is lost. Look at 'Q values' (overestimation), 'TD loss' "
        "(divergence), 'Staleness' and 'Sample age p50 and p99'. Usual ways out: a lower "
        "algorithm.learning_rate or its schedule, a slower target network, a stricter update.staleness, a larger "
        "replay.capacity.",
    ),
]


def rule_file() -> dict[str, Any]:
    """Returns the groups of a Prometheus rule file."""
    return {"groups": [{"name": "adql", "rules": [alert.rule() for alert in ALERTS]}]}
