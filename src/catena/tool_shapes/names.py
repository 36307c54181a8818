"""What an engine knows a tool by."""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["engine_name"]

_LONGEST: Final = 64
_PLAIN: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")


def engine_name(name: str, namespace: str | None = None) -> str:
    """What an engine knows a function or custom tool by: `name`, or `namespace__name`. A tool whose namespace has its
    own name stands in none: so the API tells the calls of one that was deferred.

    Where that is longer than engines take, or has letters that they do not take, it is cut and told apart by a hash,
    always the same.
    """
    if namespace is None or namespace == name:
        whole, longest = name, 128
    else:
        joint = "" if namespace.endswith("__") else "__"
        whole, longest = f"{namespace}{joint}{name}", _LONGEST
    if len(whole) <= longest and _PLAIN.match(whole):
        return whole
    mark = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
    return f"{re.sub('[^a-zA-Z0-9_-]', '_', whole)[: _LONGEST - 9]}_{mark}"
