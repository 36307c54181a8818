"""The command: see the package."""

from __future__ import annotations

import argparse
import random
import sys

from tests.fuzz.fuzzing import Fuzzer, fuzzed_server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="at least so many, over all endpoints")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--only", default="", help="only operations with this in their name")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with fuzzed_server() as url:
        fuzzer = Fuzzer(url)
        chosen = {label: each for label, each in fuzzer.operations.items() if options.only in label}
        rounds = 0
        while fuzzer.cases < options.cases:
            before = fuzzer.cases
            for operation in chosen.values():
                left = options.cases - fuzzer.cases
                examples = max(1, min(200, left // (2 * len(chosen)) + 1))
                fuzzer.fuzz(operation, examples=examples, number=options.seed + rounds)
            print(f"{fuzzer.cases} cases", flush=True)
            rounds += 1
            if fuzzer.cases - before < len(chosen):
                break
    print(f"\n{fuzzer.cases} cases: {dict(sorted(fuzzer.statuses.items()))}")
    for (label, what), case in fuzzer.failures.items():
        print(f"\n{label}: {what}\n{case}")
    return 1 if fuzzer.failures or fuzzer.cases < options.cases else 0


if __name__ == "__main__":
    sys.exit(main())
