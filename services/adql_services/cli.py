"""The command line: ``adql COMMAND …``. Nothing heavy is imported before the command is known."""

import argparse
import functools
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adql_services import container_commands
from adql_services.arguments import SHORT_NAMES, Parser, check_is_no_environment, not_known
from adql_services.bench import command_line as bench_command
from adql_services.cluster import command_line
from adql_services.controller import command_line as controller_command
from adql_services.dashboard.command import add_dashboard

if TYPE_CHECKING:
    from adql.config import RunSpecification
    from adql.errors import AdqlError
    from adql_services.cluster.download import Completing

    Commands = argparse._SubParsersAction["_Parser"]

# One thread a process: more of them halve small updates. Must be set before numpy is imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# libuv hands changes of what it waits for to an io_uring, which costs a server more than the calls it saves.
os.environ.setdefault("UV_USE_IO_URING", "0")

OK = 0
ASSIGNMENT = re.compile(r"[^/=]*=")
"""Of key=value; a file whose path has an = in it is written with a / before that."""
EVALUATION_SEED = 2**31
"""Beyond every seed of training and of a run's own evaluations."""
RUN = "folder of the run: the one under runs/ that `adql train` told, or its --output"
SETTINGS = {
    "parameter-server": "ParameterServerSettings",
    "replay": "ReplayServerSettings",
    "learner": "LearnerSettings",
    "evaluator": "EvaluatorSettings",
}
"""The services, and which record of adql.config holds what each is configured by."""
PLAYING = ("learner", "evaluator")
"""Those that cannot do without the environment; the others need its signature alone."""


class _Parser(Parser):
    """A service's help ends with its variables."""

    settings: str | None = None
    """Name of the record of adql.config that holds what the service is configured by."""
    commands: "Mapping[str, _Parser]"

    def format_help(self) -> str:
        if self.settings:
            from adql import config

            width = max(20, shutil.get_terminal_size().columns - 2)  # as argparse has it
            variables = config.describe_variables(getattr(config, self.settings), width)
            self.epilog = f"variables and their defaults, beside those of the run specification:\n{variables}"
            self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()


class _Version(argparse.Action):
    """Prints the version of the installed package, looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import adql

        sys.stdout.write(f"adql {adql.__version__}\n")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 the run failed, 2 bad input."""
    _open_missing_streams()
    options = _options(arguments)
    if "" not in sys.path:
        sys.path.append("")  # last of all: a module that environment.allow names may lie in the current folder
    from adql.errors import AdqlError
    from adql_services.runtime.failure import tell

    command: Callable[[argparse.Namespace], int] = options.command
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except AdqlError as error:
        return tell(error)
    except BrokenPipeError:  # who reads the answer has read enough
        return 128 + signal.SIGPIPE
    except OSError as error:
        return tell(_unforeseen(error, serves="service" in options))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        _let_go_of_broken_streams()


def _unforeseen(error: OSError, *, serves: bool) -> "AdqlError":
    """Without a file's name it came from stdout, or from getcwd() in a folder that is gone; a service uses neither."""
    from adql.errors import InputError, RunFailedError

    if serves and error.filename is None:
        return RunFailedError(f"{error.strerror or error}; start it again")
    nameless = "the current folder" if isinstance(error, FileNotFoundError) else "stdout"
    return InputError(f"{error.filename or nameless}: {error.strerror or error}; mend that and try again")


def _open_missing_streams() -> None:
    """What was closed is /dev/null: else the next files that are opened would take its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def _let_go_of_broken_streams() -> None:
    """What cannot be written goes nowhere: else the interpreter would end with a complaint and a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line; argparse itself leaves over the words that follow an option, such as key=value."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options, words = parser.parse_known_args(arguments)
    unknown = words if "specification" not in options else [word for word in words if word.startswith("-")]
    if unknown:
        options.parser.error(not_known(options.parser, unknown, [parser, *parser.commands.values()], arguments))
    if words:
        options.specification = [*options.specification, *words]
    return options


def _parser() -> _Parser:
    parser = _Parser(prog="adql", description="Asynchronous distributed Q-learning.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    parser.commands = commands.choices
    for add in (
        _add_train,
        _add_resume,
        _add_evaluate,
        _add_restore,
        _add_doctor,
        _add_config,
        _add_services,
        controller_command.add,
        _add_selftest,
        bench_command.add,
        add_dashboard,
    ):
        add(commands)
    command_line.add(commands, _completing)
    container_commands.add(commands, os.environ, _completing)
    return parser


def _add_train(commands: "Commands") -> None:
    train = commands.add_parser("train", help="train on this machine: all services, as processes")
    _add_specification(train)
    _add_short_names(train)
    train.add_argument("--output", metavar="DIR", type=Path, help="folder of the run; a new one under runs/ by default")
    train.set_defaults(parser=train, command=_train)


def _add_evaluate(commands: "Commands") -> None:
    evaluate = commands.add_parser("evaluate", help="play the stored policy of a run greedily")
    evaluate.add_argument("directory", metavar="DIR", type=Path, help=RUN)
    evaluate.add_argument(
        "--episodes", metavar="N", type=int, default=100, help="episodes to play; %(default)s by default"
    )
    evaluate.add_argument(
        "--seed",
        metavar="S",
        type=int,
        default=EVALUATION_SEED,
        help="of the first episode, the others count on; by default beyond all seeds of the run, always the same",
    )
    evaluate.add_argument(
        "--policy",
        choices=("best", "last"),
        default="best",
        help="the one of the best evaluation, or the newest one; %(default)s by default",
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout")
    evaluate.set_defaults(parser=evaluate, command=_evaluate)


def _add_resume(commands: "Commands") -> None:
    resume = commands.add_parser("resume", help="go on with a run where it stopped")
    resume.add_argument("directory", metavar="DIR", type=Path, help=RUN)
    resume.add_argument(
        "assignments",
        nargs="*",
        metavar="key=value",
        help="keys that may change: budget, goal, learners and all others that do not define the run",
    )
    resume.set_defaults(parser=resume, command=_resume)


def _add_restore(commands: "Commands") -> None:
    restore = commands.add_parser("restore", help="put a lost weight store back from the newest checkpoint")
    restore.add_argument("directory", metavar="DIR", type=Path, help=RUN)
    restore.add_argument(
        "--checkpoint", metavar="FILE", type=Path, help="the checkpoint to take; the newest under DIR by default"
    )
    restore.set_defaults(parser=restore, command=_restore)


def _add_doctor(commands: "Commands") -> None:
    doctor = commands.add_parser("doctor", help="say what is missing on this machine and how to get it")
    doctor.set_defaults(parser=doctor, command=_doctor)


def _add_config(commands: "Commands") -> None:
    config = commands.add_parser("config", help="about the run specification")
    show = config.add_subparsers(title="commands", required=True, metavar="COMMAND").add_parser(
        "show", help="print the resolved run specification"
    )
    _add_specification(show)
    _add_short_names(show)
    form = show.add_mutually_exclusive_group()
    form.add_argument("--origin", action="store_true", help="one line a key, with where its value comes from")
    form.add_argument("--values", action="store_true", help="as values of the Helm chart, for `helm install --values`")
    show.set_defaults(parser=show, command=_show_config)


def _add_services(commands: "Commands") -> None:
    for service in SETTINGS:
        command = commands.add_parser(service, help=f"run the {service} alone, configured by ADQL_* variables")
        command.settings = SETTINGS[service]
        _add_specification(command)
        command.set_defaults(parser=command, command=_serve, service=service)


def _add_selftest(commands: "Commands") -> None:
    test = commands.add_parser("selftest", help="try services that run: push, pull, insert and sample for real")
    test.settings = "SelfTestSettings"
    _add_specification(test)
    test.set_defaults(parser=test, command=_selftest)


def _add_specification(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "specification",
        nargs="*",
        metavar="SPEC.yaml | key=value",
        help="a run specification, and keys that replace its own, such as replay.capacity=50000",
    )


def _add_short_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", metavar="ID", help="environment.id")
    parser.add_argument("--learners", metavar="N", help="training.learners")
    parser.add_argument("--actors", metavar="N", help="training.actors: they only act, and the learners only learn")
    parser.add_argument("--seed", metavar="S", help="run.seed")
    parser.add_argument("--steps", metavar="M", help="training.environment_steps: the budget")


def _layers(options: argparse.Namespace) -> tuple[Path | None, list[str]]:
    """Returns the file and the key=value assignments of a command line; options count as assignments."""
    from adql.errors import ConfigError

    files = [word for word in options.specification if not ASSIGNMENT.match(word)]
    if len(files) > 1:
        raise ConfigError(f"{' and '.join(files)}: name one SPEC.yaml at most; keys are written key=value")
    for word in files:
        check_is_no_environment(word, "--env " if "env" in options else "environment.id=")
    given = {key: getattr(options, option.removeprefix("--"), None) for option, key in SHORT_NAMES.items()}
    assignments = [word for word in options.specification if ASSIGNMENT.match(word)]
    assignments += [f"{key}={value}" for key, value in given.items() if value is not None]
    return Path(files[0]) if files else None, assignments


def _load(options: argparse.Namespace) -> "RunSpecification":
    from adql.config import load_specification

    return _resolved(load_specification(*_layers(options)))


def _resolved(specification: "RunSpecification") -> "RunSpecification":
    from adql.agent.environments import resolve

    return specification.model_copy(update={"environment": resolve(specification.environment)})


def _train(options: argparse.Namespace) -> int:
    from adql_services.local.train import train

    return train(_load(options), options.output, sys.argv)


def _resume(options: argparse.Namespace) -> int:
    from adql_services.local.resume import resume

    return resume(options.directory, options.assignments, sys.argv)


def _evaluate(options: argparse.Namespace) -> int:
    from adql_services.local.evaluate import evaluate

    return evaluate(options.directory, options.policy, options.episodes, options.seed, as_json=options.json)


def _restore(options: argparse.Namespace) -> int:
    from adql_services.local.restore import restore

    return restore(options.directory, options.checkpoint)


def _doctor(options: argparse.Namespace) -> int:
    from adql_services.local.doctor import doctor

    return doctor(Path.cwd())


def _completing() -> "Completing":
    from adql_services.local.results import complete

    return functools.partial(complete, arguments=sys.argv)


def _show_config(options: argparse.Namespace) -> int:
    print(_shown(options), end="")  # noqa: T201  the command's answer
    return OK


def _shown(options: argparse.Namespace) -> str:
    from adql.config import explain, to_annotated_yaml
    from adql_services.cluster.values import chart_values

    if options.origin:
        return explain(*_layers(options), resolve=_resolved)
    return (chart_values if options.values else to_annotated_yaml)(_load(options))


def _serve(options: argparse.Namespace) -> int:
    from adql import config

    specification = _load(options) if options.service in PLAYING else _load_for_server(options)
    settings = config.load_settings(getattr(config, SETTINGS[options.service]))
    if isinstance(settings, config.ParameterServerSettings):
        from adql_services.parameter_server.main import run as run_parameter_server

        return run_parameter_server(specification, settings)
    if isinstance(settings, config.ReplayServerSettings):
        from adql_services.replay.main import run as run_replay

        return run_replay(specification, settings)
    if isinstance(settings, config.LearnerSettings):
        from adql_services.learner.main import run as run_learner

        return run_learner(specification, settings)
    assert isinstance(settings, config.EvaluatorSettings)
    from adql_services.evaluator.main import run as run_evaluator

    return run_evaluator(specification, settings)


def _load_for_server(options: argparse.Namespace) -> "RunSpecification":
    from adql.errors import EnvironmentMissingError

    try:
        return _load(options)
    except EnvironmentMissingError as error:
        raise EnvironmentMissingError(
            f"{error}; the {options.service} needs no environment where environment.signature is set: "
            "`adql config show` prints it"
        ) from None


def _selftest(options: argparse.Namespace) -> int:
    from adql.config import SelfTestSettings, load_settings
    from adql_services.selftest.main import run

    return run(_load(options), load_settings(SelfTestSettings))


if __name__ == "__main__":
    sys.exit(main())
