"""How much a project, or one of its keys, may have: requests and tokens a minute, runs at once, bytes stored."""

from __future__ import annotations

from catena.limits.allowance import Allowance, Limits

__all__ = ["Allowance", "Limits"]
