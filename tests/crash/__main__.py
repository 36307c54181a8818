"""`python -m tests.crash --kills 30`, or `--disasters 30` for several servers on one PostgreSQL: the long form."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from tests.crash import harness, siege
from tests.crash.checker import Findings


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server again and again, and check what it told.")
    parser.add_argument("--kills", type=int, default=30, help="how often the only server dies")
    parser.add_argument(
        "--disasters", type=int, default=0, help="what happens to three servers and their PostgreSQL, instead"
    )
    parser.add_argument(
        "--wait-for-log", action="store_true", help="the three servers have streams.wait_for_log"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--clients", type=int, default=24)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="catena-crash-"))
    print(f"seed {options.seed}, in {folder}", flush=True)
    findings = asyncio.run(_run(folder, options))
    print(findings)
    return 0 if findings.clean else 1


def _run(folder: Path, options: argparse.Namespace) -> Coroutine[Any, Any, Findings]:
    def tell(line: str) -> None:
        print(line, flush=True)

    seed, clients = options.seed, options.clients
    if options.disasters:
        disasters = siege.drawn(options.disasters, seed)
        return siege.run(
            folder,
            disasters=disasters,
            seed=seed,
            clients=clients,
            wait_for_log=options.wait_for_log,
            tell=tell,
        )
    return harness.run(folder, kills=options.kills, seed=seed, clients=clients, tell=tell)


if __name__ == "__main__":
    sys.exit(main())
