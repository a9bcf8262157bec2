"""The command line: ``adql COMMAND …``. Nothing heavy is imported before the command is known."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adql.config import RunSpecification

# One thread a process: more of them halve small updates. Must be set before numpy is imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

OK, FAILED, BAD_INPUT = 0, 1, 2
SERVICES = ("parameter-server", "replay", "learner", "evaluator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 the run failed, 2 bad input."""
    options = _parser().parse_args(arguments)
    from adql.errors import AdqlError, InputError

    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except AdqlError as error:
        print(f"adql: error: {error}", file=sys.stderr)  # noqa: T201  the one line that a person reads
        return BAD_INPUT if isinstance(error, InputError) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="adql", description="Asynchronous distributed Q-learning.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_config(commands)
    for service in SERVICES:
        command = commands.add_parser(service, help=f"run the {service} alone, configured by ADQL_* variables")
        _add_specification(command)
        command.set_defaults(command=_serve, service=service)
    return parser


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser("train", help="train on this machine: all services, as processes")
    _add_specification(train)
    train.add_argument("--env", metavar="ID", help="environment.id")
    train.add_argument("--learners", metavar="N", help="training.learners")
    train.add_argument("--seed", metavar="S", help="run.seed")
    train.add_argument("--steps", metavar="M", help="training.environment_steps: the budget")
    train.add_argument("--output", metavar="DIR", type=Path, help="folder of the run; a new one under runs/ by default")
    train.set_defaults(command=_train)


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser("evaluate", help="play the stored policy of a run greedily")
    evaluate.add_argument("directory", metavar="DIR", type=Path)
    evaluate.add_argument("--episodes", metavar="N", type=int, default=100)
    evaluate.add_argument("--policy", choices=("best", "last"), default="best")
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout")
    evaluate.set_defaults(command=_evaluate)


def _add_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    config = commands.add_parser("config", help="print the resolved run specification")
    _add_specification(config)
    config.set_defaults(command=_show_config)


def _add_specification(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "specification",
        nargs="*",
        metavar="SPEC.yaml | key=value",
        help="a run specification, and keys that replace its own, such as replay.capacity=50000",
    )


def _load(options: argparse.Namespace) -> "RunSpecification":
    from adql.agent.environments import resolve
    from adql.config import load_specification
    from adql.errors import ConfigError

    files = [word for word in options.specification if "=" not in word]
    if len(files) > 1:
        raise ConfigError(f"{' and '.join(files)}: name one SPEC.yaml at most; keys are written key=value")
    keys = {
        "environment.id": getattr(options, "env", None),
        "training.learners": getattr(options, "learners", None),
        "run.seed": getattr(options, "seed", None),
        "training.environment_steps": getattr(options, "steps", None),
    }
    assignments = [word for word in options.specification if "=" in word]
    assignments += [f"{key}={value}" for key, value in keys.items() if value is not None]
    specification = load_specification(Path(files[0]) if files else None, assignments)
    return specification.model_copy(update={"environment": resolve(specification.environment)})


def _train(options: argparse.Namespace) -> int:
    from adql_services.local.train import train

    return train(_load(options), options.output, sys.argv)


def _evaluate(options: argparse.Namespace) -> int:
    from adql_services.local.evaluate import evaluate

    return evaluate(options.directory, options.policy, options.episodes, as_json=options.json)


def _show_config(options: argparse.Namespace) -> int:
    from adql.config import to_yaml

    print(to_yaml(_load(options)), end="")  # noqa: T201  the command's answer
    return OK


def _serve(options: argparse.Namespace) -> int:
    from adql import config

    specification, service = _load(options), options.service
    if service == "parameter-server":
        from adql_services.parameter_server.main import run as run_parameter_server

        return run_parameter_server(specification, config.load_settings(config.ParameterServerSettings))
    if service == "replay":
        from adql_services.replay.main import run as run_replay

        return run_replay(specification, config.load_settings(config.ReplayServerSettings))
    if service == "learner":
        from adql_services.learner.main import run as run_learner

        return run_learner(specification, config.load_settings(config.LearnerSettings))
    from adql_services.evaluator.main import run as run_evaluator

    return run_evaluator(specification, config.load_settings(config.EvaluatorSettings))


if __name__ == "__main__":
    sys.exit(main())
