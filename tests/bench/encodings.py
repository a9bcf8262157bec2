"""What an encoding costs in learning: ``python -m tests.bench.encodings [--seeds N …]``; one JSON line a run.

The default run, two learners in one process that take turns, everything that would travel rounded by the encoding.
Counted are learner steps until two consecutive greedy evaluations, one each 1,000 steps, are over the goal.
"""

import argparse
import json
import sys

from tests.agent.in_process import assemble, specification

GOAL, EPISODES, EVERY, LIMIT = 475.0, 20, 1_000, 40_000
"""Return, episodes an evaluation, learner steps between two of them, learner steps of a run at most."""
LEARNERS = 2
ENCODINGS = ("float32", "bfloat16", "float16")


def steps_to_goal(encoding: str, seed: int) -> int | None:
    """Returns the learner steps at the second evaluation over the goal, None if there were none within the limit."""
    run = assemble(specification(f"update.encoding={encoding}", f"run.seed={seed}"), LEARNERS)
    over = 0
    for steps in range(EVERY, LIMIT + 1, EVERY):
        run.until(steps)
        returns = run.greedy_returns(EPISODES)
        over = over + 1 if sum(returns) / len(returns) >= GOAL else 0
        if over == 2:
            return steps
    return None


def main() -> None:
    """Prints the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    for seed in parser.parse_args().seeds:
        for encoding in ENCODINGS:
            record = {"encoding": encoding, "seed": seed, "learner_steps": steps_to_goal(encoding, seed)}
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
