"""`python -m tests.crash --kills 30`: the long form."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.crash.harness import run


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server again and again, and check what it told.")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--clients", type=int, default=24)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="catena-crash-"))
    print(f"seed {options.seed}, in {folder}", flush=True)
    findings = asyncio.run(
        run(
            folder,
            kills=options.kills,
            seed=options.seed,
            clients=options.clients,
            tell=lambda line: print(line, flush=True),
        )
    )
    print(findings)
    return 0 if findings.clean else 1


if __name__ == "__main__":
    sys.exit(main())
