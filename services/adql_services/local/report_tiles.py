"""The figures at the head of report.html, and how many of them stand in a row."""

from html import escape

from adql.config import RunSpecification
from adql_services.local.progress import counted
from adql_services.local.returns import return_text
from adql_services.local.summary import Tree, better_than_last

WIDE, MIDDLE = 7, 4
"""How many have room in a row of a wide page, and of one of half its width; a narrow one has two columns."""

Tile = tuple[str, str, str]
"""Name, value, and what else there is to say about it."""


def tiles(specification: RunSpecification, summary: Tree) -> str:
    """Returns them as HTML: what the policy is worth, then what it took."""
    found = [*_returns(specification, summary), *_costs(specification, summary)]
    cells = (f"<div><dt>{escape(n)}</dt><dd>{escape(v)}<small>{escape(s)}</small></dd></div>" for n, v, s in found)
    columns = f"--wide: {balanced(len(found), WIDE)}; --middle: {balanced(len(found), MIDDLE)}"
    return f'<dl class="tiles" style="{columns}">{"".join(cells)}</dl>'


def balanced(count: int, most: int) -> int:
    """Returns the columns of as few rows as ``most`` a row allow, the last of which is as full as can be."""
    rows = -(-count // most)
    return -(-count // rows)


def _returns(specification: RunSpecification, summary: Tree) -> list[Tile]:
    found, best = summary["evaluation"], better_than_last(summary)
    if not found:
        return []
    goal = "" if specification.goal is None else f"goal {return_text(specification.goal)}, "
    name = "Last greedy return" if best else "Greedy return"
    last = return_text(found["mean_return"], specification.goal)
    shown = [(name, last, goal + counted(found["episodes"], "episode"))]
    if best:
        highest = return_text(best["mean_return"], specification.goal)
        shown.insert(0, ("Best greedy return", highest, f"at {best['learner_steps']:,} learner steps"))
    if found["success_rate"] is not None:
        shown.append(("Success rate", f"{found['success_rate']:.0%}", f"median {return_text(found['median_return'])}"))
    return shown


def _costs(specification: RunSpecification, summary: Tree) -> list[Tile]:
    staleness, restarts = summary["staleness"] or {"mean": 0.0, "max": 0}, summary["process_restarts"]
    cpu = summary["cpu_seconds"]
    return [
        ("Env steps", f"{summary['environment_steps']:,}", f"of {specification.training.environment_steps:,}"),
        ("Learner steps", f"{summary['learner_steps']:,}", counted(summary["version"]["number"], "update")),
        ("Wall time", f"{summary['wall_seconds']:,.1f} s", "since the first environment step"),
        *([("CPU time", f"{cpu:,.1f} s", "all processes")] if cpu is not None else []),
        ("Mean staleness", f"{staleness['mean']:.2f}", f"at most {counted(staleness['max'], 'version')}"),
        *([("Restarts", f"{restarts:,}", "of processes that had died")] if restarts else []),
    ]
