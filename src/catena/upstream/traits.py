"""What an engine takes beyond the text of its dialect: nobody can ask it, so the settings say, or its host tells.

`accepts` are the kinds of content that its model reads; `passes` the optional settings of a request that it is given;
`grammar` is how it is told what form the input of a custom tool must have.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

__all__ = ["EVERYTHING", "OPTIONAL", "Content", "Grammar", "Optional", "Traits", "traits_of"]

Content: TypeAlias = Literal["text", "image", "audio", "file"]

Optional: TypeAlias = Literal[
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
    "verbosity",
]
"""Settings that some chat engines take, and others refuse or do not know."""

Grammar: TypeAlias = Literal["none", "vllm", "guided", "llama.cpp"]
"""`vllm` is its `structured_outputs`, `guided` the older `guided_grammar` and `guided_regex`."""

EVERYTHING: Final[frozenset[Content]] = frozenset({"text", "image", "audio", "file"})

OPTIONAL: Final[frozenset[Optional]] = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "user",
        "verbosity",
    }
)

_USUAL: Final[frozenset[Optional]] = frozenset({"user", "verbosity"})

_BY_HOST: Final[dict[str, frozenset[Optional]]] = {
    "api.openai.com": OPTIONAL - {"metadata"},  # it takes metadata only of what it stores itself
    "api.groq.com": frozenset({"user", "service_tier"}),
    "api.mistral.ai": frozenset(),
    "openrouter.ai": _USUAL,
}


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """See the module."""

    accepts: frozenset[Content] = frozenset({"text", "image", "audio"})
    passes: frozenset[Optional] = _USUAL
    grammar: Grammar = "none"


def traits_of(kind: str, base_url: str = "") -> Traits:
    """What is known of an engine by what kind it is and where it is."""
    if kind == "embedded":
        return Traits(accepts=frozenset({"text"}))
    if kind == "responses":
        return Traits(accepts=EVERYTHING, passes=OPTIONAL)
    host = urlsplit(base_url).hostname or ""
    passes = _BY_HOST.get(host, _USUAL)
    return Traits(accepts=EVERYTHING if host == "api.openai.com" else Traits().accepts, passes=passes)
