"""What an encoding costs in learning: ``python -m tests.bench.encodings [--seeds N …] [key=value …]``; JSON lines.

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


def steps_to_goal(encoding: str, seed: int, keys: list[str]) -> int | None:
    """Returns the learner steps at the second evaluation over the goal, None if there were none within the limit."""
    run = assemble(specification(*keys, f"update.encoding={encoding}", f"run.seed={seed}"), LEARNERS)
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
    parser.add_argument("keys", nargs="*", metavar="key=value")
    asked = parser.parse_intermixed_args()
    for seed in asked.seeds:
        for encoding in ENCODINGS:
            steps = steps_to_goal(encoding, seed, asked.keys)
            record = {"encoding": encoding, "seed": seed, "keys": asked.keys, "learner_steps": steps}
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
