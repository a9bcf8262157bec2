"""The agent: networks, losses, the learner and what it exchanges, the actor and its environments."""

from adql.agent.accumulator import Accumulator
from adql.agent.actor import Actor
from adql.agent.environments import Environment, VectorEnvironment, make_environment, resolve
from adql.agent.evaluation import EpisodeResults, play_episodes
from adql.agent.exploration import make_epsilons
from adql.agent.learner import DqnLearner, StepResult
from adql.agent.networks import Network, check_network, make_network
from adql.agent.policy import Policy, load_policy
from adql.agent.sources import ParameterSource, ReplaySource
from adql.agent.tabular import Table, learn_table, polynomial

__all__ = [
    "Accumulator",
    "Actor",
    "DqnLearner",
    "Environment",
    "EpisodeResults",
    "Network",
    "ParameterSource",
    "Policy",
    "ReplaySource",
    "StepResult",
    "Table",
    "VectorEnvironment",
    "check_network",
    "learn_table",
    "load_policy",
    "make_environment",
    "make_epsilons",
    "make_network",
    "play_episodes",
    "polynomial",
    "resolve",
]
