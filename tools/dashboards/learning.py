"""Learning: is it learning, how far is it, is it healthy?"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from tools.dashboards.panels import Panel, Query, Section, Stat, dashboard
from tools.dashboards.promql import of, positive, rate

UNDER_WAY = 'status=~"running|confirming"'
RETURNS = Section(
    "Is it learning?",
    [
        Panel(
            "Greedy return",
            "none",
            "Mean, lowest and highest return of the greedy policy over the episodes of the newest evaluation, and the "
            "goal. The run is over when two evaluations in a row reach the goal and fresh episodes confirm it.",
            [
                Query(of("adql_evaluation_return"), "mean {{pod}}"),
                Query(of("adql_evaluation_return_lowest"), "lowest {{pod}}"),
                Query(of("adql_evaluation_return_highest"), "highest {{pod}}"),
                Query(of("adql_goal_return"), "goal {{pod}}"),
            ],
            width=12,
            lowest=None,
        ),
        Panel(
            "Training return",
            "none",
            "Mean return of the episodes that each learner finished last, under its exploring policy. It stays below "
            "the greedy return as long as ε is large.",
            [Query(of("adql_episode_return", 'policy="behaviour"'))],
            width=12,
            lowest=None,
        ),
        Panel(
            "Success rate",
            "percentunit",
            "Share of the last greedy episodes that succeeded, by the environment's own word, else by the goal.",
            [Query(of("adql_success_ratio"))],
        ),
        Panel(
            "Episode length",
            "none",
            "Mean steps of the last episodes: behaviour is the exploring policy of a learner, greedy the evaluator's.",
            [Query(of("adql_episode_length_steps"), "{{policy}} {{pod}}")],
        ),
        Panel(
            "Cumulative reward",
            "short",
            "Sum of all rewards that a process has collected since it started.",
            [Query(of("adql_cumulative_reward"))],
            lowest=None,
        ),
    ],
)
PROGRESS = Section(
    "How far is it?",
    [
        Stat(
            "Status",
            "none",
            "waiting: nothing learned yet; running; confirming: the goal was reached twice and is played again; "
            "reached, budget or plateau: the run is over and learners idle.",
            [Query(f"{of('adql_run_status')} == 1", "{{status}}")],
            width=4,
            names=True,
        ),
        Stat(
            "ETA",
            "s",
            "Time until the budget of environment steps is spent at the present pace. The goal may end it earlier.",
            [
                Query(
                    f"clamp_min({of('adql_run_budget_environment_steps')} - {of('adql_run_environment_steps')}, 0) / "
                    + positive(f"rate({of('adql_environment_steps_total')}[$__rate_interval])")
                    + f" and on (instance) {of('adql_run_status', UNDER_WAY)} == 1"
                )
            ],
            width=4,
        ),
        Panel(
            "Environment steps",
            "short",
            "The run's clock of environment steps over all actors and restarts, and the budget that ends the run.",
            [
                Query(of("adql_run_environment_steps"), "steps {{pod}}"),
                Query(of("adql_run_budget_environment_steps"), "budget {{pod}}"),
            ],
        ),
        Panel(
            "Learner steps",
            "short",
            "The run's clock of gradient steps over all learners and restarts, local ones included. Schedules, target "
            "network and evaluations go by it.",
            [Query(of("adql_run_learner_steps"))],
        ),
        Panel(
            "Steps a second",
            "cps",
            "Environment steps and gradient steps a second of the whole run. Their ratio follows samples per insert.",
            [
                Query(rate("adql_environment_steps_total"), "environment {{pod}}"),
                Query(rate("adql_learner_steps_total"), "learner {{pod}}"),
            ],
        ),
        Panel(
            "Episodes a second",
            "cps",
            "Training episodes that ended, by learner.",
            [Query(rate("adql_episodes_total"))],
        ),
        Panel(
            "Evaluations",
            "none",
            "Evaluations reported since the server started, by purpose, and kept versions that wait for an evaluator. "
            "If many wait, the evaluator is slower than the run: raise evaluation.every_learner_steps.",
            [
                Query(of("adql_evaluations_total"), "{{purpose}} {{pod}}"),
                Query(of("adql_evaluations_waiting"), "waiting {{pod}}"),
            ],
        ),
    ],
)
HEALTH = Section(
    "Is it healthy?",
    [
        Panel(
            "TD loss",
            "none",
            "Mean loss of a learner's last gradient steps, and its mean absolute TD error. A slow rise with the return "
            "is normal; a jump by orders of magnitude is divergence.",
            [Query(of("adql_loss"), "loss {{pod}}"), Query(of("adql_td_error"), "|TD error| {{pod}}")],
        ),
        Panel(
            "Q values",
            "none",
            "Mean and largest Q of the last batch. Beyond the largest discounted return that the environment can give, "
            "values are overestimated.",
            [Query(of("adql_q_value_mean"), "mean {{pod}}"), Query(of("adql_q_value_max"), "max {{pod}}")],
            lowest=None,
        ),
        Panel(
            "Gradient norm",
            "none",
            "Euclidean norm of the last gradient before it is clipped to algorithm.max_gradient_norm.",
            [Query(of("adql_gradient_norm"))],
        ),
        Panel(
            "Exploration ε",
            "percentunit",
            "Mean ε of a learner's environment copies: the share of actions that are chosen at random.",
            [Query(of("adql_epsilon"))],
        ),
        Panel(
            "Learning rate",
            "none",
            "Learning rate of the local optimizer, by the run's clock of learner steps.",
            [Query(of("adql_learning_rate"))],
        ),
        Panel(
            "Outliers dropped",
            "cps",
            "Updates a second that a learner dropped, because their loss was far above its running mean or not finite.",
            [Query(rate("adql_learner_outliers_dropped_total"))],
        ),
    ],
)


def board() -> Dashboard:
    """Returns the dashboard."""
    return dashboard("Learning", "Is the run learning, how far is it, and is it healthy?", [RETURNS, PROGRESS, HEALTH])
