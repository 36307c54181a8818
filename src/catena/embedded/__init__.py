"""The model that comes with the package: a real, small one, in a child process that speaks the chat dialect.

    weights   which file it is, where it is found, how it is pulled
    sources   the places it can be pulled from
    process   the server's side: start the child, watch it, start it again
    engine    the child's side: load the model, answer on loopback

Everything native stays in the child, so that a crash in it is an upstream error here and nothing worse. To the
rest of the server the child is one more OpenAI-compatible chat server at `EmbeddedEngine.base_url`.
"""

from __future__ import annotations

from catena.embedded.process import EmbeddedEngine, EngineUnavailable
from catena.embedded.weights import CODER, PullFailed, find, pull

__all__ = ["CODER", "EmbeddedEngine", "EngineUnavailable", "PullFailed", "find", "pull"]
