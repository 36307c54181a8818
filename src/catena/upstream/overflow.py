"""Whether an engine's complaint means that the context is too long, and which numbers it names.

Every engine has its own words for it, and some have several. Clients know one: the code
`context_length_exceeded`, by which they compact and try again.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

__all__ = ["Overflow", "overflow_in"]

_NAMES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})

_WORDINGS: Final = re.compile(
    r"""
      maximum \s context \s length                                          # OpenAI, vLLM, SGLang, Mistral
    | maximum \s model \s length                                            # vLLM
    | exceeds? \s (?:the | its | our | maximum | available | \s)+ context   # llama.cpp, Ollama, OpenAI
    | exceeds? \s context \s (?:window | limit | size | length)             # llama-cpp-python, Anthropic
    | context \s (?:size | length | window) \s has \s been \s exceeded      # llama.cpp, LM Studio
    | (?:longer | greater) \s than \s the \s (?:model's \s)? context        # SGLang, LM Studio
    | context \s the \s overflows | context \s overflow                     # LM Studio
    | reached \s context \s length                                          # LM Studio
    | exceeds? \s the \s maximum \s (?:allowed \s length | number \s of \s tokens)   # SGLang, Gemini
    | (?:prompt | input) \s is \s too \s long                               # Anthropic, Bedrock
    | too \s long \s and \s exceeds \s limit                                # vLLM
    """,
    re.IGNORECASE | re.VERBOSE,
)

# Here the answer that was asked for is too long, and a shorter input is not the only way out.
_OUTPUT_TOO_LONG: Final = re.compile(
    r"max_(?:completion_|output_)?tokens\W+(?:is|are)\s+too\s+large", re.IGNORECASE
)

_LIMIT: Final = re.compile(
    r"""
      (?: context \s (?:length | size | window) | model \s length ) \s
          (?: of \s only \s | is \s | of \s | \( )? ( \d{1,12} )
    | n_ctx: \s* ( \d{1,12} )
    | > \s* ( \d{1,12} )
    | (?: allowed \s length | tokens \s allowed | limit ) \s (?: of \s )? \(? ( \d{1,12} )
    | ( \d{1,12} ) \s maximum \s context \s length
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SIZE: Final = re.compile(
    r"""
      (?: requested | resulted \s in | request \s has | contains | keep \s the \s first | too \s long: ) \s
          (?: a \s total \s of \s | about \s | over \s )? ( \d{1,12} )
    | (?: request | input | prompt | length | tokens | count ) \s \( (?: length \s )? ( \d{1,12} )
    | n_keep: \s* ( \d{1,12} )
    | limit: \s* ( \d{1,12} )
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Overflow(msgspec.Struct, frozen=True):
    """A context that is too long: the request's `size` and the engine's `limit` in tokens, where it tells them."""

    size: int | None = None
    limit: int | None = None


def overflow_in(message: str, *names: str) -> Overflow | None:
    """What `message` tells of a context that is too long; None if it is about something else.

    `names` are the codes and types that came with it.
    """
    if _OUTPUT_TOO_LONG.search(message):
        return None
    if _NAMES.isdisjoint(names) and not _WORDINGS.search(message):
        return None
    return Overflow(_number(_SIZE, message), _number(_LIMIT, message))


def _number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    return int(next(group for group in match.groups() if group)) if match else None
