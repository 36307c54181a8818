"""What a reply says of that which the engine was not given."""

from __future__ import annotations

from catena.run import Run

__all__ = ["omitted_headers"]


def omitted_headers(run: Run) -> dict[str, str]:
    """The headers that name what the engine of a run was not given: tools, and settings that it does not take."""
    settings, tools = run.plan.question.left_out, run.plan.offer.omitted
    if not settings and not tools:
        return {}
    if run.plan.order.door == "chat":
        settings = [name.removeprefix("text.") for name in settings]
    omitted = {"catena-omitted-tools": tools, "catena-omitted-parameters": settings}
    return {header: ", ".join(names) for header, names in omitted.items() if names}
