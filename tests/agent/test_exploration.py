"""Exploration: schedules, the Ape-X ladder and ε-greedy choice."""

import numpy as np
import pytest

from adql.agent.exploration import epsilon_greedy, make_epsilons, van_der_corput
from adql.config import ExplorationSettings, FractionScheduleSettings


def test_schedule_gives_every_copy_the_epsilon_of_the_runs_clock():
    settings = ExplorationSettings(epsilon=FractionScheduleSettings(kind="linear", initial=1.0, final=0.0, steps=100))
    assert make_epsilons(settings, slot=lambda: 3, copies=2)(25).tolist() == [0.75, 0.75]


def test_ladder_with_a_fixed_number_of_actors_is_ape_x():
    epsilons = make_epsilons(ExplorationSettings(kind="ladder", actors=4), slot=lambda: 1, copies=2)(0)
    assert epsilons == pytest.approx([0.4 ** (1 + 7 * 2 / 3), 0.4**8])


def test_ladder_without_a_number_spreads_any_number_of_copies_evenly():
    settings = ExplorationSettings(kind="ladder")
    exponents = [np.log(make_epsilons(settings, lambda slot=slot: slot, 4)(0)) / np.log(0.4) for slot in range(4)]
    assert sorted((np.concatenate(exponents) - 1) / 7) == pytest.approx(np.arange(16) / 16)


def test_ladder_follows_a_learner_to_another_slot():
    slot, settings = [0], ExplorationSettings(kind="ladder", actors=4)
    epsilons = make_epsilons(settings, lambda: slot[0], copies=2)
    before, slot[0] = epsilons(0), 1
    assert epsilons(0) == pytest.approx([0.4 ** (1 + 7 * 2 / 3), 0.4**8]) != before


def test_van_der_corput_mirrors_the_bits():
    assert [van_der_corput(i) for i in range(5)] == [0.0, 0.5, 0.25, 0.75, 0.125]


def test_epsilon_is_the_share_of_uniform_choices():
    q_values = np.tile([0.0, 1.0, 0.0, 0.0], (20_000, 1))
    actions = epsilon_greedy(q_values, np.full(20_000, 0.4), np.random.default_rng(0))
    shares = np.bincount(actions, minlength=4) / 20_000
    assert shares == pytest.approx([0.1, 0.7, 0.1, 0.1], abs=0.012)  # 4 standard deviations


def test_epsilon_zero_is_greedy():
    actions = epsilon_greedy(np.array([[0.0, 1.0], [3.0, 2.0]]), np.zeros(2), np.random.default_rng(0))
    assert actions.tolist() == [1, 0]
