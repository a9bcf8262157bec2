"""Values of the Helm chart that train what `adql train` would."""

from typing import Any

from adql.config import RunSpecification, write_yaml

Tree = dict[str, Any]


def chart_values(specification: RunSpecification) -> str:
    """Returns a values file: what ``specification`` sets, and the numbers of learners and actors where it does.

    With the environment's signature in it only learners, actors and the evaluator need the environment's package.
    """
    run: Tree = specification.model_dump(mode="json", exclude_unset=True)
    training = run.get("training", {})
    learners, actors = training.pop("learners", None), training.pop("actors", None)
    values: Tree = {"run": {name: section for name, section in run.items() if section}}
    if learners is not None:
        values["learner"] = {"replicaCount": learners}
    if actors:
        values.setdefault("learner", {})["role"] = "learner"
        values["actor"] = {"enabled": True, "replicaCount": actors}
    return write_yaml(values, sort_keys=False)
