"""The server's side of the embedded engine: start the child, wait until it answers, start it again when it dies.

The listening socket belongs to this side and is only lent to the child. So the engine has one address for its whole
life, and whoever connects while a child is being replaced waits for the next one instead of being refused. Requests
that were under way break with the child's connections, as they would with any engine that goes down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from catena.embedded import handshake
from catena.embedded.weights import CODER, Progress, find, under_way
from catena.errors import UpstreamError

__all__ = ["EmbeddedEngine", "EngineUnavailable", "ModelOnItsWay"]

_log: Final = logging.getLogger(__name__)

_PATIENCE: Final = 120.0
"""Seconds from start to ready. Two are usual; a cold disk on a busy machine takes longest."""

_PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before the next start, growing while children die young."""

_GROWN_UP: Final = 60.0
"""A child that lived this many seconds is not one of a row of crashes."""

_LOOK: Final = 0.5
"""Seconds between two looks at a model that is on its way."""

_COME_BACK: Final = 5.0
"""Seconds after which clients are asked to try again while the model is on its way."""

_GOODBYE: Final = 2.0
"""Seconds in which a child should have ended by itself."""


class EngineUnavailable(UpstreamError):
    """The embedded engine cannot run."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, upstream_status=503)


class ModelOnItsWay(UpstreamError):
    """The embedded model is being fetched."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(
            f"The embedded model is being fetched, once: {progress.done / progress.total:.0%} of "
            f"{progress.total / 1e9:.1f} GB is here. Please try again in a moment.",
            upstream_status=503,
            retry_after=_COME_BACK,
            code="model_loading",
        )


class EmbeddedEngine:
    """The embedded model as an OpenAI-compatible server at `base_url`, which takes `key`.

    `model` is any GGUF file; by default the one that `catena model pull` fetches. `context` is how many tokens fit into
    one conversation. Nothing runs until `start`.
    """

    def __init__(
        self,
        model: Path | None = None,
        *,
        context: int = 8192,
        command: Sequence[str] = (sys.executable, "-m", "catena.embedded.engine"),
        patience: float = _PATIENCE,
    ) -> None:
        self.model = model
        self.key = secrets.token_urlsafe(32)
        self.context = context
        self._command = command
        self._patience = patience
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._port: int = self._socket.getsockname()[1]
        self._ready: asyncio.Future[None] | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """Where the engine answers once it is started, and after every restart."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def name(self) -> str:
        """What the engine calls its model."""
        return CODER.name if self.model is None else self.model.stem

    async def start(self) -> None:
        """Have the engine running: return at once if it is, else start it, or wait for the start under way.

        So this may precede every request. Raises EngineUnavailable, whose message says what is wrong and what
        helps, or ModelOnItsWay; the next call tries again.
        """
        if self._life is None:
            self.check_fetched()
            self._ready = asyncio.get_running_loop().create_future()
            self._life = asyncio.create_task(self._keep_running(), name="embedded engine")
            self._life.add_done_callback(self._give_up)
        assert self._ready is not None
        await asyncio.shield(self._ready)

    def check_fetched(self) -> None:
        """Raise ModelOnItsWay while the model is being fetched."""
        if self.model is None and find() is None and (progress := under_way()) is not None:
            raise ModelOnItsWay(progress)

    async def fetched(self) -> None:
        """Wait while the model is being fetched."""
        while True:
            try:
                return self.check_fetched()
            except ModelOnItsWay:
                await asyncio.sleep(_LOOK)

    async def close(self) -> None:
        """End the child for good."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])
        self._socket.close()

    def _give_up(self, life: asyncio.Task[None]) -> None:
        """Tell those who wait for a child that none will come."""
        self._life = None
        error = None if life.cancelled() else life.exception()
        if error is not None:
            _log.error("the embedded engine does not run: %s", error)
        assert self._ready is not None
        if not self._ready.done():
            self._ready.set_exception(error or EngineUnavailable("The embedded engine was closed."))
            self._ready.exception()  # seen, even if nobody waits
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):  # no connection is left, or nobody ever listened
            while True:
                self._socket.accept()[0].close()

    async def _keep_running(self) -> None:
        """Replace the child whenever it dies. Raises EngineUnavailable when one cannot be started."""
        loop = asyncio.get_running_loop()
        young = 0
        while True:
            child = await self._launch()
            try:
                await self._until_ready(child)
                assert self._ready is not None
                self._ready.set_result(None)
                born = loop.time()
                how = await child.ended()
                self._ready = loop.create_future()
            finally:
                await child.end()
            young = 0 if loop.time() - born >= _GROWN_UP else young + 1
            pause = _PAUSES[min(young, len(_PAUSES)) - 1] if young else 0.0
            _log.warning("the embedded engine %s; the next one starts in %g s", how, pause)
            await asyncio.sleep(pause)

    async def _launch(self) -> _Child:
        fd = self._socket.fileno()
        if fd < 0:
            raise EngineUnavailable("The embedded engine was closed.")
        model = find(self.model)
        if model is None and self.model is None:
            raise EngineUnavailable("The embedded model is not on this machine yet: catena model pull")
        if model is None:
            raise EngineUnavailable(f"There is no model file {self.model}.")
        options = {"--model": model, "--name": self.name, "--context": self.context, "--fd": fd}
        words = [str(word) for option in options.items() for word in option]
        environment = {**os.environ, handshake.KEY_VARIABLE: self.key}
        try:
            return await _Child.launch([*self._command, *words], environment, fd)
        except OSError as error:
            raise EngineUnavailable(f"The embedded engine cannot be started: {error}") from error

    async def _until_ready(self, child: _Child) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await child.ready()
        except TimeoutError as error:
            late = f"The embedded engine was not ready after {self._patience:g} s."
            raise EngineUnavailable(late) from error


class _Child:
    """A child process that was launched."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._complaint = b""
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def launch(cls, command: Sequence[str], environment: dict[str, str], fd: int) -> _Child:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            pass_fds=[fd],
            start_new_session=True,  # the terminal's ^C is for the server, which ends the child in its own time
        )
        return cls(process)

    async def ready(self) -> None:
        """Wait until the child answers. Raises EngineUnavailable if it says that it cannot, or ends."""
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
            word = handshake.read(line) if line else None
        except ValueError as error:
            raise EngineUnavailable(f"The embedded engine's first word is not understood: {error}") from error
        if word is None:
            raise EngineUnavailable(f"The embedded engine {await self.ended()}.")
        if isinstance(word, handshake.Failed):
            raise EngineUnavailable(word.reason)

    async def ended(self) -> str:
        """Wait for the end, and say in words how it came."""
        status = await self._process.wait()
        await self._listening
        complaint = self._complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return _how_it_ended(status) + (f" ({complaint})" if complaint else "")

    async def end(self) -> None:
        """Have the child ended: it goes when its standard input closes, or else is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        """Take what the child writes to its standard error, and remember the end of it."""
        assert self._process.stderr is not None
        while said := await self._process.stderr.read(4096):
            self._complaint = (self._complaint + said)[-4096:]
            _log.debug("embedded engine: %s", said.decode(errors="replace").rstrip())


def _how_it_ended(status: int) -> str:
    match -status:
        case signal.SIGILL:
            return "died of an illegal instruction: this CPU is too old for it"
        case signal.SIGKILL:
            return "was killed, perhaps because it needs more memory (2.2 GB) than there is"
        case number if number > 0:
            return f"died of {signal.Signals(number).name}"
        case _:
            return f"ended with status {status}"
