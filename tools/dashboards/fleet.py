"""Fleet: who is there, what each does, and what it costs."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Panel, Query, Section, dashboard
from tools.dashboards.promql import of, rate

PROCESSES = Section(
    "Who is there?",
    [
        Panel(
            "Learners up",
            "none",
            "Live sessions that push to the parameter server.",
            [Query(of("adql_active_learners"))],
        ),
        Panel(
            "Processes",
            "none",
            "Processes that answer Prometheus, by its job.",
            [Query(f"count by (job) ({of('adql_process_start_time_seconds')})", "{{job}}")],
        ),
        Panel(
            "Restarts in the last hour",
            "none",
            "Starts of a process after the first, as far as the pod kept its name. Under Kubernetes a crash loop backs "
            "off to one start in five minutes.",
            [Query(f"changes({of('adql_process_start_time_seconds')}[1h])")],
        ),
        Panel(
            "Uptime",
            "s",
            "Time since the process started.",
            [Query(f"time() - {of('adql_process_start_time_seconds')}")],
        ),
        Panel(
            "Sessions expired",
            "none",
            "Sessions whose lease ran out since the server started: learners that died, or hung, without a word.",
            [Query(of("adql_sessions_expired_total"))],
        ),
    ],
)
WORK = Section(
    "What does each do?",
    [
        Panel(
            "Environment steps a second",
            "cps",
            "Steps of a learner's environment copies; actors are learners of the role actor.",
            [Query(rate("adql_learner_environment_steps_total"))],
        ),
        Panel(
            "Gradient steps a second",
            "cps",
            "Local learner steps, by learner. A pod that stands far below the others is slow, or starved.",
            [Query(rate("adql_learner_gradient_steps_total"))],
        ),
        Panel(
            "A learner's time by activity",
            "percentunit",
            "Mean share of a learner's time; the rest to 100 % is Python around it. wait is time without work, in the "
            "table or for the wire.",
            [
                Query(
                    f"avg by (activity) (rate({of('adql_learner_activity_seconds_total')}[$__rate_interval]))",
                    "{{activity}}",
                )
            ],
            stacked=True,
        ),
    ],
)
CONTROLLER = Section(
    "Who sets the number of learners?",
    [
        Panel(
            "Learners that the controller wants",
            "none",
            "Beside those that live. Shown where the chart's controller is switched on.",
            [
                Query(of("adql_controller_wanted_replicas"), "wanted {{pod}}"),
                Query(of("adql_active_learners"), "live {{pod}}"),
            ],
        ),
        Panel(
            "Why that many",
            "cps",
            "The controller's looks at the run, by the reason that decided.",
            [Query(f"{rate('adql_controller_decisions_total', by='reason')} > 0", "{{reason}}")],
            stacked=True,
        ),
        Panel(
            "Changes of the number",
            "none",
            "By the controller, since it started. conflict: somebody else changed the Deployment meanwhile, and the "
            "next look begins with theirs.",
            [Query(f"sum by (outcome) ({of('adql_controller_changes_total')})", "{{outcome}}")],
        ),
    ],
)
COST = Section(
    "What does it cost?",
    [
        Panel(
            "CPU",
            "none",
            "Cores that a process uses. Learners are always busy: their number, not their load, is what scales.",
            [Query(rate("adql_process_cpu_seconds_total"))],
        ),
        Panel(
            "Memory",
            "bytes",
            "Resident memory of a process.",
            [Query(of("adql_process_resident_memory_bytes"))],
        ),
        Panel(
            "Store memory",
            "bytes",
            "Memory that the weight store uses, and its maxmemory, else its machine's memory. A full store takes no "
            "commit. Absent where the store's user may not ask INFO.",
            [
                Query(of("adql_store_memory_bytes"), "used {{pod}}"),
                Query(of("adql_store_memory_limit_bytes"), "limit {{pod}}"),
            ],
        ),
        Panel(
            "Volumes that cannot be written",
            "none",
            "1 while the parameter server or the replay service could not write something to its volume. Training goes "
            "on; checkpoints, policies or snapshots are not made.",
            [Query(of("adql_volume_write_failing"))],
        ),
        Panel(
            "Open files",
            "none",
            "File descriptors that a process holds: connections, mostly.",
            [Query(of("adql_process_open_fds"))],
        ),
    ],
)


def board() -> Dashboard:
    """Returns the dashboard."""
    return dashboard("Fleet", "The processes of a run, their work and their cost.", [PROCESSES, WORK, CONTROLLER, COST])
