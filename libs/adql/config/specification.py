"""The run specification: what a run is, in one typed, closed, frozen tree that is checked whole.

One field has one name everywhere: ``replay.capacity`` on the command line and in YAML is ``ADQL_REPLAY__CAPACITY`` in
the environment. Lengths of time are in seconds, lengths of schedules in steps of the clock that their field names.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from adql.config.applicability import misplaced
from adql.config.schedule_settings import FractionScheduleSettings, RateScheduleSettings
from adql.config.section import Decay, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from adql.errors import ConfigError

MAX_BATCHES_PER_REQUEST = 1_024
"""All of a request may be given back in one."""
FrameStack = Annotated[int, Field(ge=2, le=128)] | None
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$")]


class RunSettings(Section):
    """What the run is called."""

    name: Name = "adql"
    """Names the run in the store: lower-case letters, digits and hyphens."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Every random stream of the run is derived from it."""


class SignatureSettings(Section):
    """What an environment's spaces are, so that services without the environment can check and size arrays."""

    observation_shape: tuple[PositiveInt, ...] = ()
    """Shape of one observation; () for a Discrete space."""
    observation_dtype: Literal["float32", "float64", "uint8", "int8", "int32", "int64", "bool"] = "float32"
    observations: PositiveInt | None = None
    """Number of observations of a Discrete space; null for a Box."""
    frame_stack: FrameStack = None
    """Frames along the first axis of an observation, the oldest first; null: an observation is no stack."""
    actions: PositiveInt
    """Number of discrete actions."""
    reward_threshold: float | None = None
    """The environment's own goal, if it states one."""

    @model_validator(mode="after")
    def _stacks_frames(self) -> Self:
        if self.frame_stack is not None and self.observation_shape[:1] != (self.frame_stack,):
            raise ValueError(
                f"frame_stack {self.frame_stack} is not the first axis of observation_shape "
                f"{list(self.observation_shape)}; remove the signature, and it is read from the environment"
            )
        return self


class EnvironmentSettings(Section):
    """The Gymnasium environment."""

    id: str = "CartPole-v1"
    """Goes to gymnasium.make untouched; ``module:Env-v0`` imports the module first."""
    kwargs: dict[str, Any] = Field(default={})
    """Keyword arguments of the environment."""
    allow: tuple[str, ...] = ()
    """Foreign modules that the id may import."""
    copies: PositiveInt = 8
    """Environment copies that one learner or actor steps together."""
    max_episode_steps: PositiveInt | None = None
    """Truncates episodes; null keeps the environment's own limit, or 1,000 where it has none."""
    frame_stack: FrameStack = None
    """Observes the newest so many frames at once, the first one repeated at a reset; replay stores each frame once."""
    signature: SignatureSettings | None = None
    """The spaces; null: resolved at start by making the environment once, and resetting and stepping it once."""

    @model_validator(mode="after")
    def _signature_has_the_same_stack(self) -> Self:
        if self.signature is not None and self.signature.frame_stack != self.frame_stack:
            raise ValueError(
                f"frame_stack {self.frame_stack} is not signature.frame_stack {self.signature.frame_stack}; "
                "remove the signature, and it is read from the environment"
            )
        return self


class NetworkSettings(Section):
    """The Q-network."""

    kind: Literal["dense", "tabular", "nature", "minatar"] = "dense"
    """``nature`` (84 × 84 images) and ``minatar`` (10 × 10) are convolutional; ``nature`` needs PyTorch."""
    hidden: tuple[PositiveInt, ...] = (256, 256)
    """Units of each hidden layer of a dense network."""
    dueling: bool = False
    """Separate streams for the state's value and the actions' advantages (1511.06581)."""
    initial_value: float = 0.0
    """Every entry of a new table, tabular only."""


class OptimizerSettings(Section):
    """How a gradient changes parameters: the learner's, and the server's under the rule ``gradient``."""

    kind: Literal["sgd", "rmsprop", "adam", "adagrad"] = "adam"
    momentum: Decay = 0.0
    """SGD only."""
    decay: Decay = 0.95
    """RMSProp: of the running mean of squares."""
    centered: bool = False
    """RMSProp: subtract the squared running mean."""
    beta1: Decay = 0.9
    """Adam: of the running mean."""
    beta2: Decay = 0.999
    """Adam: of the running mean of squares."""
    epsilon: PositiveFloat = 1e-8


class TargetSettings(Section):
    """The target network, driven by the server's learner-step clock.

    A step counts whole under ``gradient``; else it is one of many live learners', and counts 1/their number.
    """

    kind: Literal["periodic", "soft"] = "soft"
    period_learner_steps: PositiveInt = 128
    """Periodic: copies the server's parameters at the pull that crosses a multiple of so many steps."""
    tau: Annotated[float, Field(gt=0.0, le=1.0)] = 0.02
    """Soft: per step."""


class AlgorithmSettings(Section):
    """Q-learning."""

    gamma: Fraction = 0.99
    n_steps: PositiveInt = 3
    """Length of the multi-step return."""
    double: bool = True
    """Double Q-learning: the online network chooses, the target network values (1509.06461)."""
    huber_delta: PositiveFloat = 1.0
    """Where the loss turns from quadratic to linear; a table's loss is quadratic everywhere."""
    batch_size: PositiveInt = 64
    learning_rate: RateScheduleSettings = RateScheduleSettings(initial=1e-3)
    """By learner steps of the run."""
    max_gradient_norm: PositiveFloat | None = 10.0
    """Gradients are scaled down to this Euclidean norm, a table's never are; null: no network's are."""
    optimizer: OptimizerSettings = OptimizerSettings()
    target: TargetSettings = TargetSettings()


class ExplorationSettings(Section):
    """The behaviour policy: ε-greedy, one ε an environment copy."""

    kind: Literal["schedule", "ladder"] = "schedule"
    epsilon: FractionScheduleSettings = FractionScheduleSettings(kind="linear", initial=1.0, final=0.04, steps=8_000)
    """Schedule: by environment steps of the run."""
    base: Fraction = 0.4
    """Ladder (Ape-X, 1803.00933): ε = base^(1 + exponent·u)."""
    exponent: PositiveFloat = 7.0
    actors: Annotated[int, Field(ge=2)] | None = None
    """Ladder: environment copies of the whole run, u = i/(actors − 1); null: u = van der Corput, for any number."""


CAPACITY_PER_LEARNER = 10_000
"""Transitions: learners that share what they learn turn a table over faster than they progress."""
MIN_CAPACITY = 2 * CAPACITY_PER_LEARNER
"""Transitions of a table whose capacity is not set."""


FRAME_OVERHEAD_BYTES = 64
"""What a table keeps beside the bytes of each compressed frame of a stack: 33 of Python's own object and about 8 that
it is rounded up by, 8 that name it, 4 of references, and 8 to 12 by which it is found by its content."""


class ReplaySettings(Section):
    """The replay table."""

    sampler: Literal["uniform", "prioritised"] = "uniform"
    capacity: PositiveInt | None = None
    """Transitions; the oldest is evicted first. null: 10,000 for each learner, 20,000 at least."""
    capacity_bytes: PositiveInt = 2 * 1024**3
    """Bytes of transitions; a capacity that cannot fit is refused at start.

    Stacked frames are kept compressed; where theirs do not fit, the oldest transitions are evicted.
    """
    min_size: PositiveInt = 1_000
    """Nothing is sampled below it."""
    samples_per_insert: PositiveFloat | None = 16.0
    """Transitions sampled per transition inserted, kept by the rate limiter; null: unlimited."""
    max_error: NonNegativeFloat = 0.0
    """Samples that either side may be ahead; never less than what the requests in flight need."""
    priority_exponent: Fraction = 0.6
    """α of prioritised replay (1511.05952)."""
    importance_exponent: FractionScheduleSettings = FractionScheduleSettings(initial=0.4)
    """β, by learner steps of the run."""
    batches_per_request: Annotated[PositiveInt, Field(le=MAX_BATCHES_PER_REQUEST)] = 8
    prefetch: bool = True
    """Asks for the next batches while learning on the present ones."""
    chunk_transitions: PositiveInt = 64
    """Transitions in one insert."""
    snapshot_seconds: PositiveFloat | None = 60.0
    """Between two snapshots on disk; null: only at the end."""


class StalenessSettings(Section):
    """What happens to an update that is based on an old version."""

    policy: Literal["reject", "damp", "accept"] = "reject"
    max_versions: PositiveInt | None = None
    """Reject beyond it; null: max(8, 4·live learners)."""
    damping_exponent: PositiveFloat = 1.0
    """β of damp: step/(1 + max(0, s − live learners))^β."""


LOCAL_STEPS_PER_PUSH = 8
"""Two learners on two cores spend most of their time waiting for the wire at 1 and little of it at 8."""


class UpdateSettings(Section):
    """How the parameter server joins the learners' work."""

    rule: Literal["average", "elastic", "delta", "gradient"] = "average"
    sync_every: PositiveInt | None = None
    """Local learner steps between two pushes; null: 8, and 1 under ``gradient``, which allows nothing else."""
    weight: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """average: w of θ ← θ + w·(θ_i − θ); null: ½, and 1 for a lone learner."""
    elastic_alpha: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """elastic: α of d = α(θ_i − θ̃); null: 0.9/live learners, at most 0.45."""
    outer_learning_rate: PositiveFloat | None = None
    """delta: η of θ ← θ + η·Δ; null: 1/live learners."""
    outer_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """delta: Nesterov momentum of the outer step."""
    encoding: Literal["float32", "float16", "bfloat16"] = "float32"
    """Of updates and parameters on their way between learner and server, where both compute in float32.

    Part of what defines a run: it rounds what is learned, and both sides must agree on it. ``bfloat16`` keeps the range
    of float32; ``float16`` is finer and ends at 65,504.
    """
    overlap: bool | None = None
    """Goes on learning while a push is under way, never under ``gradient``; null: unless the network is a table."""
    outlier_deviations: Annotated[float, Field(ge=2.0)] | None = None
    """A learner drops an update whose loss is this many deviations above its running mean (Gorila); null: none.

    Off, because the Huber loss and ``max_gradient_norm`` bound what one batch can do.
    """
    staleness: StalenessSettings = StalenessSettings()

    @model_validator(mode="after")
    def _gradient_pushes_every_step(self) -> Self:
        if self.rule == "gradient" and self.sync_every not in (None, 1):
            raise ValueError(
                "sync_every must be 1 under the rule gradient; remove it or choose average, elastic or delta"
            )
        return self

    @property
    def steps_per_push(self) -> int:
        """k: local learner steps between two pushes under this rule."""
        return self.sync_every or (1 if self.rule == "gradient" else LOCAL_STEPS_PER_PUSH)


class TrainingSettings(Section):
    """When the run is over and who works on it."""

    learners: Annotated[int, Field(ge=1, le=1_000)] = 2
    """Learners that the local launcher starts."""
    actors: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Processes beside them that only act; the learners then only learn (Ape-X). 0: every learner does both."""
    environment_steps: PositiveInt = 200_000
    """The budget."""
    goal: float | None = None
    """Greedy mean return to reach; null: the environment's reward_threshold, if it has one."""
    plateau_evaluations: PositiveInt | None = None
    """Ends after this many evaluations whose interquartile mean is no 1 % better, 10 for example; null: never."""


MAX_EPISODES = 1_000
"""Of one evaluation: the longest numbers (25 + 17 + 6 bytes of JSON an episode) stay below the 64 KiB of a request."""
EpisodeCount = Annotated[int, Field(ge=1, le=MAX_EPISODES)]


class EvaluationSettings(Section):
    """Greedy episodes on reserved seeds."""

    every_learner_steps: PositiveInt = 1_000
    """At most so often; ``duty`` may make it less often."""
    duty: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """Share of an evaluator's time that is played: long episodes are played less often, and learners have the cores.

    After a result over the goal the next evaluation does not wait; 1 never waits.
    """
    episodes: EpisodeCount = 20
    """Environment copies, one episode each."""
    confirm_episodes: EpisodeCount = 100
    """Fresh episodes that confirm the goal."""


class DurabilitySettings(Section):
    """How often the parameter server commits its whole state to the store."""

    commit_duty: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of one core that commits may use."""
    commit_bytes_per_second: PositiveInt = 50_000_000
    max_interval_seconds: PositiveFloat = 1.0
    """A commit is due at least this often, where duty and bytes allow it."""
    lease_seconds: Annotated[float, Field(ge=0.1)] = 30.0
    """A session expires after this long without a word."""


class RunSpecification(Section):
    """Everything that defines a run and how it is carried out."""

    run: RunSettings = RunSettings()
    environment: EnvironmentSettings = EnvironmentSettings()
    network: NetworkSettings = NetworkSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    exploration: ExplorationSettings = ExplorationSettings()
    replay: ReplaySettings = ReplaySettings()
    update: UpdateSettings = UpdateSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    durability: DurabilitySettings = DurabilitySettings()

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if complaints := misplaced(self):
            raise ValueError("; ".join(complaints))
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        replay, batch, capacity = self.replay, self.algorithm.batch_size, self.replay_capacity
        if batch > capacity:
            raise ValueError(
                f"algorithm.batch_size {batch} is larger than replay.capacity {capacity}; "
                "lower the one or raise the other"
            )
        if replay.min_size > capacity:
            raise ValueError(
                f"replay.min_size {replay.min_size} is larger than replay.capacity {capacity}: "
                "nothing would ever be sampled; lower it"
            )
        if self.training.environment_steps < replay.min_size:
            raise ValueError(
                f"training.environment_steps {self.training.environment_steps} ends before "
                f"replay.min_size {replay.min_size}: nothing would be learned; raise the budget or lower min_size"
            )
        self._allows_one_request()
        return self

    def _allows_one_request(self) -> None:
        replay, steps = self.replay, self.training.environment_steps
        request = self.algorithm.batch_size * replay.batches_per_request
        if replay.samples_per_insert is None:
            return
        allowed = (steps - replay.min_size) * replay.samples_per_insert
        if allowed < request:
            raise ValueError(
                f"replay.samples_per_insert {replay.samples_per_insert:g} allows {allowed:.0f} samples in "
                f"training.environment_steps {steps}, less than one request of algorithm.batch_size · "
                f"replay.batches_per_request = {request}: nothing would be learned; raise the ratio or the budget"
            )

    @property
    def signature(self) -> SignatureSettings:
        """What the environment's spaces are.

        Raises:
            ConfigError: nobody has looked.
        """
        if self.environment.signature is None:
            raise ConfigError(
                "environment.signature is not set; let the command line `adql` resolve the environment, or set it"
            )
        return self.environment.signature

    @property
    def replay_capacity(self) -> int:
        """Transitions that the replay table holds: as set, else as many as the learners want."""
        return self.replay.capacity or max(MIN_CAPACITY, CAPACITY_PER_LEARNER * self.training.learners)

    @property
    def goal(self) -> float | None:
        """The greedy mean return to reach: the run's own, else the environment's, else none."""
        if self.training.goal is not None or self.environment.signature is None:
            return self.training.goal
        return self.environment.signature.reward_threshold
