"""`python -m bench.counts [--write | --check | --shares | --functions OPERATION]`: what the hot paths cost, in counts.

The counts are kept in `counts.json`: `--check` fails where one has grown by more than a few percent, `--write` renews
them. `--shares` says how much of each operation's steps, the instructions of Python's machine, goes to which part of
Catena; `--functions` how often which function is called in one operation, and its steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.counting import Counting, held_by_catena
from bench.indoors import Indoors, indoors
from bench.kept import Counts, Kept, excesses, keep, kept, shares, this_python

__all__ = ["Operations", "counted"]

_WARM: Final = 4
"""Operations before those that are counted: what is made once is made then."""

_TIMES: Final = 5
"""Operations that are counted; the least of each count is told, as luck only adds."""

_SHORT: Final = 2
"""Deltas of a stream that is over soon: what it costs more than a plain create is what a stream costs by itself."""

_FEW, _MANY = 20, 60
"""Deltas of two streams: what the second costs more is what deltas cost."""

_DEPTHS: Final = (1, 200, 1000)

_OF_DISK: Final = ("statements", "bytes written", "flushes")
"""What differs from turn to turn, as pages fill up: told as the mean of many turns."""

_ASKED: Final = {"model": "m", "input": "Hello there"}
_UNSTORED: Final = {**_ASKED, "store": False}


def _step_of_agent(number: int) -> Sequence[dict[str, object]]:
    call_id = f"call_{number}"
    return (
        {"role": "user", "content": "Go on"},
        {"type": "function_call", "call_id": call_id, "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": call_id, "output": "Nothing there"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "There is nothing."}]},
    )


_AGENT: Final = [item for number in range(25) for item in _step_of_agent(number)]
"""What an agent sends that keeps its history itself."""

_TOOLS: Final = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]


class Operations:
    """What is counted, one after another on the same server."""

    def __init__(self, server: Indoors, counting: Counting) -> None:
        self._server = server
        self._counting = counting
        self.counts: dict[str, Counter[str]] = {}
        self.functions: dict[str, Counter[str]] = {}

    async def run(self) -> None:
        """Fill `counts` and `functions`."""
        post = self._server.post
        await self._least("stateless create", lambda: post(_UNSTORED))
        await self._least("stored create", lambda: post(_ASKED))
        stream = self._server.stream
        await self._least("streamed create", lambda: stream(_UNSTORED, _SHORT))
        await self._least("stored streamed create", lambda: stream(_ASKED, _SHORT))
        agents = {**_UNSTORED, "input": _AGENT, "tools": _TOOLS}
        await self._least("create with 100 items", lambda: post(agents))
        tip, depth = "", 0
        for wanted in _DEPTHS:
            with self._counting.on(disk_only=True):
                for _ in range(wanted - depth):
                    tip = (await post({**_ASKED, "previous_response_id": tip or None}))["id"]
            grown, depth = wanted - depth, wanted
            disk = _of_each(self._counting.counts, grown)
            turn = {**_ASKED, "previous_response_id": tip}
            await self._least(f"turn at depth {depth}", lambda turn=turn: post(turn))  # type: ignore[misc]
            if depth == 200:
                await self._reads(f"/v1/responses/{tip}")
        self.counts["mean of 800 turns"] = disk
        await self._delta("stateless delta", _UNSTORED)
        await self._delta("stored delta", _ASKED)

    async def _reads(self, path: str) -> None:
        get = self._server.get
        await self._least("GET", lambda: get(path))
        await self._least("page of input items", lambda: get(f"{path}/input_items", b"limit=20"))

    async def _least(self, name: str, operation: Callable[[], Awaitable[object]]) -> None:
        for _ in range(_WARM):
            await operation()
        for _ in range(_TIMES):
            with self._counting.on():
                await operation()
            self._keep(name, self._counting.counts, self._counting.functions)

    async def _delta(self, name: str, body: Mapping[str, object]) -> None:
        few, many = f"{name} few", f"{name} many"
        await self._least(few, lambda: self._server.stream(body, _FEW))
        await self._least(many, lambda: self._server.stream(body, _MANY))
        for table in (self.counts, self.functions):
            more = table.pop(many)
            more.subtract(table.pop(few))
            each = {what: round(number / (_MANY - _FEW)) for what, number in more.items()}
            table[name] = Counter({what: number for what, number in each.items() if number > 0})
        held = await self._held(body, _MANY) - await self._held(body, _FEW)
        self.counts[name]["bytes held"] = 10 * round(held / (_MANY - _FEW) / 10)

    async def _held(self, body: Mapping[str, object], deltas: int) -> int:
        """How much memory Catena holds of what it allocated since the stream began, at the last of its deltas."""
        found = []
        for _ in range(_TIMES):
            with held_by_catena() as look:
                await self._server.stream(body, deltas, look.now)
            found.append(look.found)
        return min(found)

    def _keep(self, name: str, counts: Counter[str], functions: Counter[str]) -> None:
        known = self.counts.get(name)
        if known is None or sum(functions.values()) < sum(self.functions[name].values()):
            self.functions[name] = functions.copy()
        of_code = Counter({what: number for what, number in counts.items() if what not in _OF_DISK})
        self.counts[name] = of_code if known is None else known & of_code


def _of_each(counts: Counter[str], turns: int) -> Counter[str]:
    # Of bytes the hundreds: how full the pages are is another matter in each run.
    mean = Counter({what: round(counts[what] / turns) for what in _OF_DISK})
    mean["bytes written"] = round(mean["bytes written"], -2)
    return mean


def counted() -> tuple[dict[str, Counter[str]], Operations, Operations]:
    """The counts of all operations; these on one server by their calls, and on another by their steps."""
    by_calls, by_steps = _on_a_server(steps=False), _on_a_server(steps=True)
    for name, counts in by_calls.counts.items():
        if "steps" in by_steps.counts[name]:
            counts["steps"] = by_steps.counts[name]["steps"]
    return by_calls.counts, by_calls, by_steps


def _on_a_server(*, steps: bool) -> Operations:
    counting = Counting(steps=steps)
    with tempfile.TemporaryDirectory() as folder, counting.installed() as loop:
        return loop.run_until_complete(_counted(Path(folder), counting))


async def _counted(folder: Path, counting: Counting) -> Operations:
    async with indoors(folder) as server:
        operations = Operations(server, counting)
        await operations.run()
        return operations


def _print_table(table: Mapping[str, Counts]) -> None:
    names = list(dict.fromkeys(what for counts in table.values() for what in counts))
    for operation, counts in table.items():
        print(operation)
        print("    " + ", ".join(f"{counts[name]} {name}" for name in names if counts.get(name)))


def _print_shares(table: Mapping[str, Counts]) -> None:
    for operation, parts in table.items():
        print(f"{operation:20} " + ", ".join(f"{part} {share} %" for part, share in parts.items()))


def _print_functions(calls: Counts, steps: Counter[str]) -> None:
    print(" steps  calls")
    for name, number in steps.most_common():
        print(f"{number:6} {calls.get(name, 0):6} {name}")


def _check(now: Mapping[str, Counts]) -> int:
    found = excesses(now, kept().operations)
    print("\n".join(found) or "Nothing costs more than it did.")
    if found:
        print("If that is worth it, say why, and renew them: make counts")
    return 1 if found else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.counts", description=__doc__)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--write", action="store_true", help="keep these counts")
    ways.add_argument("--check", action="store_true", help="compare with those that are kept")
    ways.add_argument("--shares", action="store_true", help="which part of Catena takes how many steps")
    ways.add_argument("--functions", metavar="OPERATION", help="what one operation is made of")
    options = parser.parse_args(arguments)
    if options.check and (python := kept().python) != this_python():
        print(f"The counts that are kept are of Python {python}: nothing to compare with.")
        return 0
    if this_python() == "3.12":
        parser.error("Python 3.12 does not tell its steps. Take another version.")
    counts, by_calls, by_steps = counted()
    parts = {name: shares(functions) for name, functions in by_steps.functions.items()}
    if options.check:
        return _check(counts)
    if options.shares:
        _print_shares(parts)
    elif options.functions:
        _print_functions(by_calls.functions[options.functions], by_steps.functions[options.functions])
    else:
        _print_table(counts)
    if options.write:
        keep(Kept(this_python(), {name: dict(each) for name, each in counts.items()}, parts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
