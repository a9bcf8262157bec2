"""Plain DQN (Mnih et al. 2015) in one process and one thread, in float64; imports numpy and Gymnasium and nothing else.

Double Q-learning (1509.06461), n-step returns and the soft target are the papers' own variants of it.
"""

from collections import Counter, deque
from dataclasses import dataclass
from itertools import pairwise

import gymnasium
import numpy as np

ENVIRONMENT, MAX_EPISODE_STEPS, ENVIRONMENT_SEEDS, HIDDEN = "CartPole-v1", 25, 2**30, 32
BETA1, BETA2, EPSILON, RATE_BEGIN, RATE_END, RATE_STEPS = 0.9, 0.999, 1.5e-4, 1e-3, 3e-4, 500
EXPLORE_BEGIN, EXPLORE_END, EXPLORE_STEPS = 1.0, 0.1, 1_500
GAMMA, HUBER_DELTA, MAX_NORM, TAU = 0.9, 0.5, 1.0, 0.02
BATCH, CAPACITY, MIN_SIZE, TRANSITIONS_A_TURN, SAMPLES_PER_INSERT = 32, 900, 200, 4, 8.0

Layers = list[np.ndarray]  # weight (inputs, outputs) and bias of each layer in turn


@dataclass(frozen=True)
class Variant:
    """What differs from one DQN to another."""

    double: bool = False
    n_steps: int = 1
    period: int | None = 60
    """Updates between two copies into the target network; None: it follows softly."""
    copies: int = 1
    """Of the environment."""
    sutton_barto_reward: bool = False
    """−1 at the fall and 0 before it, instead of 1 a step."""


class PlainDqn:
    """Acts, remembers and learns in turns; ``losses`` holds one number an update.

    What is random: ``default_rng(seed)`` gives the first parameters; ``table_rng`` the rows of each batch, counted from
    the oldest; ``default_rng((seed, 0))`` first the environments' seeds, then for each step of all copies one number in
    [0, 1) a copy and one action a copy. A copy whose episode is over is reset instead; what was drawn for it is unused.
    """

    def __init__(self, variant: Variant, seed: int, table_rng: np.random.Generator) -> None:
        self.variant, self.table_rng, self.rng = variant, table_rng, np.random.default_rng((seed, 0))
        kwargs = {"max_episode_steps": MAX_EPISODE_STEPS, "sutton_barto_reward": variant.sutton_barto_reward}
        self.environments = [gymnasium.make(ENVIRONMENT, **kwargs) for _ in range(variant.copies)]
        seeds = self.rng.integers(ENVIRONMENT_SEEDS, size=variant.copies)
        self.states = [e.reset(seed=int(s))[0] for e, s in zip(self.environments, seeds, strict=True)]
        self.ended, self.windows = [False] * variant.copies, [[] for _ in range(variant.copies)]
        self.memory: deque[tuple] = deque(maxlen=CAPACITY)
        widths = (len(self.states[0]), HIDDEN, HIDDEN, int(self.environments[0].action_space.n))
        self.online = first_layers(widths, np.random.default_rng(seed))
        self.target = [layer.copy() for layer in self.online]
        self.mean, self.mean_square = ([np.zeros_like(layer) for layer in self.online] for _ in range(2))
        self.earned, self.explore, self.losses, self.met = 0.0, EXPLORE_BEGIN, [], Counter(steps=0)

    def learn(self, updates: int) -> None:
        """Acts until a turn's transitions are complete, learns as often as they have earned, and so on."""
        while len(self.losses) < updates:
            fresh: list[tuple] = []
            while len(fresh) < TRANSITIONS_A_TURN:
                fresh += self.act()
            self.memory.extend(fresh)
            self.earned += SAMPLES_PER_INSERT * len(fresh) * (len(self.memory) >= MIN_SIZE)
            while self.earned >= BATCH:
                self.earned -= BATCH
                self.update()

    def act(self) -> list[tuple]:
        """Takes one ε-greedy step of every copy; returns the transitions it completed, those begun last first."""
        self.explore = EXPLORE_BEGIN + (EXPLORE_END - EXPLORE_BEGIN) * min(1.0, self.met["steps"] / EXPLORE_STEPS)
        values, complete = forward(self.online, np.array(self.states))[-1], []
        explores = self.rng.random(len(values)) < self.explore
        actions = np.where(explores, self.rng.integers(values.shape[1], size=len(values)), values.argmax(1))
        for copy, action in enumerate(actions):
            if self.ended[copy]:
                self.states[copy], self.ended[copy] = self.environments[copy].reset()[0], False
            else:
                complete += self.step(copy, int(action))
        return [transition for _, transition in sorted(complete, key=lambda pair: pair[0])]

    def step(self, copy: int, action: int) -> list[tuple[int, tuple]]:
        """Steps one copy; returns each completed transition behind the number of its steps."""
        state, window, complete = self.states[copy], self.windows[copy], []
        self.states[copy], reward, terminated, truncated, _ = self.environments[copy].step(action)
        self.met.update(steps=1, terminations=int(terminated), truncations=int(truncated))
        self.ended[copy] = terminated or truncated
        window.append((state, action, reward))
        while len(window) == self.variant.n_steps or (window and self.ended[copy]):
            gain = sum(GAMMA**i * reward for i, (_, _, reward) in enumerate(window))
            discount = 0.0 if terminated else GAMMA ** len(window)
            complete.append((len(window), (*window.pop(0)[:2], gain, discount, self.states[copy])))
        return complete

    def update(self) -> None:
        """Takes one step on one batch, then moves the target network."""
        rows = [self.memory[i] for i in self.table_rng.integers(len(self.memory), size=BATCH)]
        state, action, reward, discount, following = (np.array(column) for column in zip(*rows, strict=True))
        values, activations, each = forward(self.target, following)[-1], forward(self.online, state), np.arange(BATCH)
        chooser = forward(self.online, following)[-1] if self.variant.double else values
        errors = reward + discount * values[each, chooser.argmax(1)] - activations[-1][each, action]
        size, output = abs(errors), np.zeros_like(values)
        self.met["outliers"] += int((size > HUBER_DELTA).sum())
        huber = np.where(size <= HUBER_DELTA, 0.5 * errors**2, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
        self.losses.append(huber.mean())
        output[each, action] = -np.where(size <= HUBER_DELTA, errors, HUBER_DELTA * np.sign(errors)) / BATCH
        self.descend(backward(self.online, activations, output), t := len(self.losses))
        self.follow(t)

    def descend(self, gradient: Layers, t: int) -> None:
        """Adam as published (1412.6980, algorithm 1), along a gradient of bounded norm."""
        norm = np.linalg.norm(np.concatenate([layer.ravel() for layer in gradient]))
        self.met["clipped"] += int(norm > MAX_NORM)
        rate = RATE_BEGIN + (RATE_END - RATE_BEGIN) * min(1.0, (t - 1) / RATE_STEPS)
        for i, g in enumerate(layer * min(1.0, MAX_NORM / norm) for layer in gradient):
            self.mean[i] = BETA1 * self.mean[i] + (1 - BETA1) * g
            self.mean_square[i] = BETA2 * self.mean_square[i] + (1 - BETA2) * g**2
            mean, mean_square = self.mean[i] / (1 - BETA1**t), self.mean_square[i] / (1 - BETA2**t)
            self.online[i] = self.online[i] - rate * mean / (np.sqrt(mean_square) + EPSILON)

    def follow(self, t: int) -> None:
        """Moves the target network: a copy now and then, or a little of the way each time."""
        share = TAU if self.variant.period is None else float(t % self.variant.period == 0)
        self.target = [theirs + share * (ours - theirs) for theirs, ours in zip(self.target, self.online, strict=True)]


def first_layers(widths: tuple[int, ...], rng: np.random.Generator) -> Layers:
    """Weights, then biases, layer by layer, uniform in ±1/√inputs and rounded to float32, as they are stored."""
    shapes = [(i, shape) for i, o in pairwise(widths) for shape in ((i, o), (o,))]
    return [rng.uniform(-(i**-0.5), i**-0.5, shape).astype(np.float32).astype(np.float64) for i, shape in shapes]


def forward(layers: Layers, inputs: np.ndarray) -> Layers:
    """Returns the inputs and what each layer makes of them, ReLU between them."""
    activations = [inputs.astype(np.float64)]
    for i in range(0, len(layers), 2):
        outputs = activations[-1] @ layers[i] + layers[i + 1]
        activations.append(outputs if i == len(layers) - 2 else np.maximum(outputs, 0.0))
    return activations


def backward(layers: Layers, activations: Layers, output: np.ndarray) -> Layers:
    """Returns the gradient of every layer, given that of the last one's outputs."""
    gradient: Layers = []
    for i in reversed(range(0, len(layers), 2)):
        gradient = [activations[i // 2].T @ output, output.sum(0), *gradient]
        output = (output @ layers[i].T) * (activations[i // 2] > 0.0)
    return gradient
