"""The replay service beside dm-reverb's: ``python -m tests.bench.reverb PYTHON [--rounds 5] [--seconds 2]``.

PYTHON is the interpreter of an environment that has dm-reverb (``make bench-peers`` makes ``.venv-reverb``). Both take
turns in each round, over TCP on one machine; one JSON line a case, medians, and the peer's as a multiple of ADQL's.
"""

import argparse
import json
import subprocess
from collections import defaultdict
from pathlib import Path
from statistics import median

from tests.bench.bench_replay import inserting, rate, sampling, serving, specification, transitions

PEER = Path(__file__).parent / "peer.py"
CASES = {"insert": "insert", "sample": "sample", "stream": "sample"}
"""Of the peer, and what it stands beside: there are two ways to sample from dm-reverb."""
Rates = dict[str, float]


def ours(seconds: float) -> Rates:
    """One client and one service process, chunks of 64, eight batches of 256 a request as learners ask for them."""
    with serving(specification("uniform"), "tcp") as client:
        cases = {"insert": inserting(client, transitions(64)), "sample": sampling(client, 8)}
        return {case: rate(operation, seconds)["transitions_per_second"] for case, operation in cases.items()}


def peers(python: str, seconds: float) -> Rates:
    """Runs dm-reverb in its own environment."""
    done = subprocess.run(
        [python, str(PEER), str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["case"]: line["transitions_per_second"] for line in lines}


def main() -> None:
    """Runs the rounds and prints the lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    adql, reverb = defaultdict(list), defaultdict(list)
    for _ in range(options.rounds):
        for case, found in ours(options.seconds).items():
            adql[case].append(found)
        for case, found in peers(options.python, options.seconds).items():
            reverb[case].append(found)
    for case, beside in CASES.items():
        line = {"case": f"dm-reverb {case}", "rounds": options.rounds, "adql_per_second": median(adql[beside])}
        line |= {"adql_lowest": min(adql[beside]), "adql_highest": max(adql[beside])}
        line |= {"reverb_per_second": median(reverb[case]), "reverb_lowest": min(reverb[case])}
        line |= {"reverb_highest": max(reverb[case])}
        line |= {"times_reverb": round(median(reverb[case]) / median(adql[beside]), 4)}
        print(json.dumps(line))


if __name__ == "__main__":
    main()
