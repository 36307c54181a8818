"""What became of the runs of this server: counted once for each run, when it has ended."""

from __future__ import annotations

from collections import Counter

from catena.errors import UpstreamError
from catena.fold import TERMINAL
from catena.measures import DEPTHS, Histogram
from catena.run import Run
from catena.wire.response import Usage

__all__ = ["EngineTally", "Tally"]


class EngineTally:
    """The runs of one engine. `tokens` are by kind: input, output, and of these the cached and the reasoning ones."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter(dict.fromkeys(("input", "output", "cached", "reasoning"), 0))
        self.seconds = Histogram()
        self.first_token = Histogram()


class Tally:
    """See the module. `taken_over` are runs that another server had left; `leases_lost` those taken from this one."""

    def __init__(self) -> None:
        self.engines: dict[str, EngineTally] = {}
        self.depth = Histogram(DEPTHS)
        self.leases_lost = 0
        self.taken_over = 0

    def count(self, run: Run, now: float) -> None:
        """Add a run that ended `now`, in the seconds of its own `began`."""
        plan, outcome = run.plan, run.outcome
        name = plan.upstream.name
        engine = self.engines.get(name)
        if engine is None:
            engine = self.engines[name] = EngineTally()
        self.leases_lost += run.lost
        engine.ended[outcome.status if outcome.status in TERMINAL else "handed_back"] += 1
        if isinstance(run.error, UpstreamError):
            engine.failed[run.error.code or "upstream_error"] += 1
        engine.seconds.observe(now - run.began)
        if run.heard is not None:
            engine.first_token.observe(run.heard - run.began)
        if outcome.usage is not None:
            _add(engine.tokens, outcome.usage)
        self.depth.observe(0 if plan.link is None else plan.link.depth)


def _add(tokens: Counter[str], usage: Usage) -> None:
    tokens["input"] += usage.input_tokens
    tokens["output"] += usage.output_tokens
    tokens["cached"] += usage.input_tokens_details.cached_tokens
    tokens["reasoning"] += usage.output_tokens_details.reasoning_tokens
