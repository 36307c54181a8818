"""What is another's is unknown: by every route, every id in a body, every cursor, over HTTP and WebSocket.

A stranger sends an id that somebody else has, and one that nobody has, and must not be able to tell the replies apart.
What there is to try is taken from the server's own routes and shapes: a route, a parameter or a field that these tests
do not know fails them.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from websockets.asyncio.client import connect

import catena.web
import catena.wire
from catena.access import Registry
from catena.chunks import Finish, TextDelta, UsageReport
from catena.config import Config, KeySettings, WebhookSettings
from catena.upstream import Prompt
from catena.upstream.scripted import ScriptedUpstream
from tests.running import LIMIT, RunningServer, StartServer

NO_IDS: Final = {"model", "version", "name"}
"""What stands in paths and is no id of anything that a project has."""

OTHER_QUERIES: Final = (("conversation", "conversation"), ("id", "response"))
QUERY_IDS: Final = ("after", *(name for name, _ in OTHER_QUERIES))
QUERY_WORDS: Final = {
    *(
        "cascade",
        "created_after",
        "created_before",
        "dry_run",
        "include",
        "include_obfuscation",
        "limit",
        "metadata",
        "model",
        "order",
    ),
    *("own", "part", "purpose", "q", "roots", "starting_after", "status", "stream"),
}
"""Parameters that take no ids; `starting_after` is a number of an event, of the response in the path."""

FIELD_IDS: Final = {"previous_response_id", "conversation", "id", "file_id", "comparison_response_id"}
"""Fields of requests that name something stored. `id` is that of an item, a conversation or a prompt."""

FIELDS_OF_THE_CONTEXT: Final = {
    "approval_request_id": "an item of the same context",
    "call_id": "a call of the same context",
    "caller_id": "a call of the same context",
    "connector_id": "the engine's",
    "container_id": "the engine's",
    "item_id": "only told",
    "stop_token_ids": "numbers of tokens",
    "stream_id": "a lane of the same connection",
    "tool_call_id": "a call of the same context",
    "tunnel_id": "the engine's",
    "vector_store_ids": "the engine's",
}

SECRET: Final = "a secret of the owner"


def answer(prompt: Prompt) -> Iterator[Any]:
    """Words; but of the model "slow" nothing ever comes."""
    if prompt.model == "slow":
        yield asyncio.Event()
    yield TextDelta("an answer")
    yield UsageReport(5, 5)
    yield Finish("stop")


class Person:
    """Somebody with a key, and maybe the end user of somebody's."""

    def __init__(self, server: RunningServer, secret: str, says: str, user: str = "") -> None:
        self.server = server
        self.says = says
        self.headers = {"authorization": f"Bearer {secret}", **({"x-end-user": user} if user else {})}
        self.has: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = None if body is None else msgspec.json.encode(body)
        kind = {"content-type": "application/json"} if body is not None else {}
        return await self.server.http.request(
            method, path.removeprefix("/v1"), content=content, headers={**self.headers, **kind, **headers}
        )

    async def make(self, path: str, body: Any, *, name: str, field: str = "id") -> Any:
        reply = await self.ask("POST", path, body)
        assert reply.status_code == 200, reply.text
        made = reply.json()
        self.has[name] = made[field]
        return made

    async def settle(self) -> None:
        """Have one of everything."""
        said = {"model": "m", "input": self.says, "store": True}
        first = await self.make("/responses", said, name="response")
        self.has["message"] = first["output"][0]["id"]
        streamed = await self.ask("POST", "/responses", {**said, "stream": True})
        self.has["streamed"] = re.findall(r'"id":"(resp_\w+)"', streamed.text)[0]
        await self.make("/responses", {**said, "model": "slow", "background": True}, name="running")
        messages = [{"role": "user", "content": self.says}]
        chat = {"model": "m", "messages": messages, "store": True}
        await self.make("/chat/completions", chat, name="completion")
        items = [{"type": "message", "role": "user", "content": self.says}]
        await self.make("/conversations", {"items": items}, name="conversation")
        listed = await self.ask("GET", f"/conversations/{self.has['conversation']}/items")
        self.has["item"] = listed.json()["data"][0]["id"]
        events = ["response.completed"]
        hook = {"name": "mine", "url": "http://127.0.0.1:9/", "event_types": events}
        await self.make("/webhook_endpoints", hook, name="webhook_endpoint")
        upload = await self.server.http.post(
            "/files",
            headers=self.headers,
            files={"file": ("a.txt", self.says.encode())},
            data={"purpose": "user_data"},
        )
        self.has["file"] = upload.json()["id"]


class House:
    """Two who must not know of each other."""

    def __init__(self, server: RunningServer, owner: Person, stranger: Person) -> None:
        self.server = server
        self.owner = owner
        self.stranger = stranger


@asynccontextmanager
async def two_projects(server: RunningServer) -> AsyncIterator[House]:
    registry = Registry(server.store.documents)
    people = []
    for project in ("owner", "stranger"):
        await registry.create_project(project)
        _, secret = await registry.create_key(project, scopes=["admin"])
        people.append(Person(server, secret, SECRET if project == "owner" else "something else"))
    yield House(server, *people)


@asynccontextmanager
async def two_end_users(server: RunningServer) -> AsyncIterator[House]:
    _, secret = await Registry(server.store.documents).create_key(scopes=["admin"])
    yield House(
        server, Person(server, secret, SECRET, "ada"), Person(server, secret, "something else", "bob")
    )


@asynccontextmanager
async def settled(start_server: StartServer, who: Any, header: str) -> AsyncIterator[House]:
    config = Config(
        keys=KeySettings(required=True, end_user_header=header), webhooks=WebhookSettings(allow_private=True)
    )
    async with start_server(config=config, engine=ScriptedUpstream(answer)) as server:
        async with who(server) as made:
            await made.stranger.settle()
            await made.owner.settle()
            server.engine.prompts.clear()
            yield made


@pytest.fixture
async def house(start_server: StartServer) -> AsyncIterator[House]:
    async with settled(start_server, two_projects, "") as made:
        yield made


@pytest.fixture
async def shared_house(start_server: StartServer) -> AsyncIterator[House]:
    """The two are end users of one project, whose key is the same."""
    async with settled(start_server, two_end_users, "x-end-user") as made:
        yield made


def unknown(known: str) -> str:
    """An id of the same form that nobody has."""
    head, tail = known[:-12], known[-12:]
    return head + tail.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))


def bare(reply: Any, sent: str) -> tuple[int, str, dict[str, str]]:
    """A reply without what differs from one request to the next."""
    text = re.sub(r"\b[a-z]+[_-][0-9a-f]{20,}\b", "ID", reply.text.replace(sent, "SENT"))
    text = re.sub(r'"(created_at|completed_at|created)":\d+', r'"\1":0', text)
    text = re.sub(r'"encrypted_content":"[^"]+"', '"encrypted_content":"SEALED"', text)
    changing = ("x-request-id", "openai-processing-ms", "content-length")
    return reply.status_code, text, {k: v for k, v in reply.headers.items() if k not in changing}


async def check_the_same(house: House, known: str, asked: Any) -> int:
    """That `asked(id)` is answered to the stranger as if nobody had the id; the status."""
    foreign = bare(await asked(known), known)
    nobodys = bare(await asked(unknown(known)), unknown(known))
    assert foreign == nobodys
    assert SECRET not in foreign[1]
    return foreign[0]


async def check_untouched(house: House) -> None:
    """That the owner still has everything, as it was."""
    has = house.owner.has
    for path in (
        f"/responses/{has['response']}",
        f"/responses/{has['streamed']}",
        f"/chat/completions/{has['completion']}",
        f"/conversations/{has['conversation']}/items/{has['item']}",
        f"/files/{has['file']}/content",
    ):
        reply = await house.owner.ask("GET", path)
        assert reply.status_code == 200, path
    running = await house.owner.ask("GET", f"/responses/{has['running']}")
    assert running.json()["status"] in ("queued", "in_progress")
    hook = await house.owner.ask("GET", f"/webhook_endpoints/{has['webhook_endpoint']}")
    assert hook.json()["name"] == "mine"
    items = await house.owner.ask("GET", f"/conversations/{has['conversation']}/items")
    assert len(items.json()["data"]) == 1


def with_ids(server: RunningServer) -> list[Any]:
    """The routes that have an id in their path."""
    found = []
    for route in server.app.routes.all:
        names = set(re.findall(r"{(\w+)}", route.path))
        if names and not names <= NO_IDS:
            assert names <= {f"{name}_id" for name in KINDS}, f"{route.path}: which id is that?"
            found.append(route)
    return found


KINDS: Final = {
    "response": ("response", "streamed", "running"),
    "completion": ("completion",),
    "conversation": ("conversation",),
    "item": ("item", "message"),
    "webhook_endpoint": ("webhook_endpoint",),
    "file": ("file",),
}
"""What stands in paths as `{…_id}`, and what of it each person has."""

BODIES: Final = {
    "/v1/chat/completions/{completion_id}": {"metadata": {"a": "b"}},
    "/v1/conversations/{conversation_id}": {"metadata": {"a": "b"}},
    "/v1/conversations/{conversation_id}/items": {"items": [{"role": "user", "content": "hi"}]},
    "/v1/responses/{response_id}/cancel": None,
    "/v1/webhook_endpoints/{webhook_endpoint_id}": {"name": "changed"},
    "/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret": {},
    "/v1/webhook_endpoints/{webhook_endpoint_id}/test": {"event_type": "response.completed"},
}
"""What is posted to paths with ids, valid as it is."""

WAYS: Final = ("", "?stream=true", "?stream=true&starting_after=1", "?cascade=true", "?own=true")


async def test_an_id_in_a_path_that_is_anothers_is_unknown(house: House) -> None:
    await check_paths(house)


async def test_an_id_in_a_path_that_is_another_end_users_is_unknown(shared_house: House) -> None:
    await check_paths(shared_house)


async def check_paths(house: House) -> None:
    for route in with_ids(house.server):
        assert route.method != "POST" or route.path in BODIES, f"{route.path}: what is posted there?"
        for kind in house.owner.has:
            own_kind = any(kind in KINDS[name] for name in re.findall(r"{(\w+)_id}", route.path))
            for way in WAYS if own_kind and route.method in ("GET", "DELETE") else ("",):

                async def asked(known: str, route: Any = route, way: str = way) -> Any:
                    path = re.sub(r"{\w+}", known, route.path) + way
                    return await house.stranger.ask(route.method, path, BODIES.get(route.path))

                status = await check_the_same(house, house.owner.has[kind], asked)
                assert status in (400, 404), f"{route.method} {route.path} with a {kind}: {status}"
    await check_untouched(house)


async def test_an_item_that_is_anothers_is_unknown_in_ones_own_conversation(house: House) -> None:
    own = house.stranger.has["conversation"]
    for method in ("GET", "DELETE"):
        for kind in ("item", "message"):

            async def asked(known: str, method: str = method) -> Any:
                return await house.stranger.ask(method, f"/conversations/{own}/items/{known}")

            await check_the_same(house, house.owner.has[kind], asked)
    await check_untouched(house)


async def test_the_routes_do_find_what_is_ones_own(house: House) -> None:
    """Without this, the others would hold of a server that finds nothing at all."""
    routes = sorted(with_ids(house.server), key=lambda route: (route.method == "DELETE", -len(route.path)))
    for route in routes:
        path = re.sub(r"{(\w+)_id}", lambda found: house.owner.has[KINDS[found[1]][0]], route.path)
        reply = await house.owner.ask(route.method, path, BODIES.get(route.path))
        expected = {200, 400} if path.endswith(("/cancel", "/test")) else {200}
        assert reply.status_code in expected, f"{route.method} {path}: {reply.text}"


# Parameters of queries


def query_names() -> set[str]:
    """Every name that some route reads from a query."""
    found: set[str] = set()
    readers = {"one", "many", "keyed", "flag", "integer", "choice"}
    for path in Path(catena.web.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                name = node.args[0]
                if node.func.attr in readers and isinstance(name, ast.Constant):
                    found.add(str(name.value))
    return found


def test_every_parameter_of_a_query_is_known_here() -> None:
    names = query_names()
    assert {"after", "stream", "limit"} <= names
    assert names <= {*QUERY_IDS, *QUERY_WORDS}, "does it take an id? then it belongs to QUERY_IDS"


async def test_an_id_in_a_query_that_is_anothers_is_unknown(house: House) -> None:
    own = house.stranger.has
    for route in house.server.app.routes.all:
        if route.method != "GET" or not route.path.startswith("/v1/") or "{model}" in route.path:
            continue
        path = re.sub(r"{(\w+)_id}", lambda found: own[KINDS[found[1]][0]], route.path)
        for name, kind in [*(("after", kind) for kind in house.owner.has), *OTHER_QUERIES]:

            async def asked(known: str, path: str = path, name: str = name) -> Any:
                return await house.stranger.ask("GET", f"{path}?{name}={known}")

            await check_the_same(house, house.owner.has[kind], asked)


async def test_lists_have_only_what_is_ones_own(house: House) -> None:
    seen = 0
    for route in house.server.app.routes.all:
        if route.method == "GET" and route.path.startswith("/v1/") and "{" not in route.path:
            reply = await house.stranger.ask("GET", route.path)
            assert reply.status_code == 200, reply.text
            seen += any(known in reply.text for known in house.stranger.has.values())
            for known in house.owner.has.values():
                assert known not in reply.text, route.path
    assert seen >= 5


# Fields of bodies


def id_fields() -> set[str]:
    """Every field of the API's shapes that looks as if it named something."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(catena.wire.__path__, "catena.wire."):
        for shape in vars(importlib.import_module(module.name)).values():
            if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
                names = [field.encode_name for field in msgspec.structs.fields(shape)]
                found |= {name for name in names if re.search(r"(^|_)ids?$|conversation|^after$", name)}
    return found


def test_every_field_with_an_id_is_known_here() -> None:
    assert id_fields() - {"first_id", "last_id"} == {*FIELD_IDS, *FIELDS_OF_THE_CONTEXT}


def message(*parts: Any) -> list[Any]:
    return [{"type": "message", "role": "user", "content": [*parts]}]


def screenshot(known: str) -> list[Any]:
    call_id = f"call_{known}"
    call = {"type": "computer_call", "id": f"cu_{known}", "call_id": call_id, "status": "completed"}
    shot = {"type": "computer_screenshot", "file_id": known}
    return [
        {**call, "action": {"type": "screenshot"}, "pending_safety_checks": []},
        {"type": "computer_call_output", "call_id": call_id, "output": shot},
    ]


RESPONSES: Final = ("response", "streamed", "running", "completion")
ITEMS: Final = ("item", "message")


def request_bodies(known: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every place for an id in a request for a response, each with what is named there."""
    hello = {"model": "m", "input": "hi"}
    yield RESPONSES, {**hello, "previous_response_id": known}
    yield ("conversation",), {**hello, "conversation": known}
    yield ("conversation",), {**hello, "conversation": {"id": known}}
    yield ITEMS, {**hello, "input": [{"type": "item_reference", "id": known}]}
    yield ITEMS, {**hello, "input": [{"id": known}]}
    yield ITEMS, {**hello, "input": [{**message({"type": "input_text", "text": "hi"})[0], "id": known}]}
    yield ("file",), {**hello, "input": message({"type": "input_file", "file_id": known})}
    yield ("file",), {**hello, "input": message({"type": "input_image", "file_id": known})}
    yield ("file",), {**hello, "input": screenshot(known)}
    yield ("response",), {**hello, "prompt": {"id": known}}
    yield ("response",), {**hello, "prompt_cache_options": {"comparison_response_id": known}}


def chat_bodies(known: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    hello = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    yield RESPONSES, {**hello, "previous_response_id": known}
    file = {"type": "file", "file": {"file_id": known}}
    yield ("file",), {**hello, "messages": [{"role": "user", "content": [file]}]}


def conversation_bodies(known: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for kinds, body in request_bodies(known):
        if isinstance(body["input"], list):
            yield kinds, {"items": body["input"]}


def cases(house: House, bodies: Any) -> Iterator[tuple[str, Callable[[str], dict[str, Any]]]]:
    """Each id of the owner's with each body that it may stand in."""
    for number, (kinds, _) in enumerate(bodies("")):
        for kind in kinds:

            def body(known: str, number: int = number) -> dict[str, Any]:
                made: dict[str, Any] = list(bodies(known))[number][1]
                return made

            yield house.owner.has[kind], body


PLACES: Final = [
    ("/responses", request_bodies, {}),
    ("/responses", request_bodies, {"stream": True}),
    ("/responses", request_bodies, {"background": True}),
    ("/responses", request_bodies, {"store": False}),
    ("/responses/input_tokens", request_bodies, {}),
    ("/responses/compact", request_bodies, {}),
    ("/chat/completions", chat_bodies, {}),
    ("/chat/completions", chat_bodies, {"stream": True}),
    ("/conversations", conversation_bodies, {}),
    ("/conversations/{own}/items", conversation_bodies, {}),
]


@pytest.mark.parametrize(("path", "bodies", "ways"), PLACES)
async def test_an_id_in_a_body_that_is_anothers_is_unknown(
    house: House, path: str, bodies: Any, ways: dict[str, Any]
) -> None:
    path = path.replace("{own}", house.stranger.has["conversation"])
    for known, body in cases(house, bodies):

        async def asked(known: str, body: Any = body) -> Any:
            return await house.stranger.ask("POST", path, {**body(known), **ways})

        assert await check_the_same(house, known, asked) != 500
    for prompt in house.server.engine.prompts:
        assert SECRET.encode() not in b"".join(prompt.fragments)
    await check_untouched(house)


def places_known() -> set[str]:
    """The routes that take bodies with ids, as they are tried above."""
    return {f"/v1{path}".replace("{own}", "{conversation_id}") for path, *_ in PLACES}


async def test_every_route_that_takes_a_body_is_known_here(server: RunningServer) -> None:
    without_ids = {
        "/v1/files",
        "/v1/webhook_endpoints",
        *("/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/rerank"),
        *("/v1/audio/speech", "/v1/images/generations"),
    }
    posted = {route.path for route in server.app.routes.all if route.method not in ("GET", "HEAD", "DELETE")}
    assert posted <= without_ids | places_known() | BODIES.keys(), "does its body take an id?"


async def test_a_key_for_sending_again_is_ones_own(house: House) -> None:
    body: dict[str, Any] = {"model": "m", "input": "hi", "store": True}
    mine = await house.owner.ask("POST", "/responses", body, **{"idempotency-key": "k"})
    for other in (body, {**body, "input": "another"}):
        theirs = await house.stranger.ask(
            "POST", "/responses", other, **{"idempotency-key": "k" + other["input"]}
        )
        assert theirs.status_code == 200
        assert theirs.json()["id"] != mine.json()["id"]
        assert "idempotent-replayed" not in theirs.headers


async def test_what_was_sealed_for_another_is_as_broken_as_what_nobody_sealed(house: House) -> None:
    said = {"model": "m", "input": [{"role": "user", "content": SECRET}]}
    compacted = (await house.owner.ask("POST", "/responses/compact", said)).json()
    (sealed,) = [item for item in compacted["output"] if item["type"] == "compaction"]
    own = await house.owner.ask("POST", "/responses", {"model": "m", "input": [sealed]})
    assert own.status_code == 200
    house.server.engine.prompts.clear()
    token = sealed["encrypted_content"]
    broken = token[:-20] + token[-20:].swapcase()
    replies = [
        await house.stranger.ask(
            "POST", "/responses", {"model": "m", "input": [{**sealed, "encrypted_content": each}]}
        )
        for each in (token, broken)
    ]
    assert bare(replies[0], token) == bare(replies[1], broken)
    assert replies[0].status_code == 400
    assert house.server.engine.prompts == []


# WebSocket


async def test_over_a_websocket_what_is_anothers_is_unknown(house: House) -> None:
    url = house.server.url.replace("http", "ws", 1) + "/v1/responses"

    async def told(body: dict[str, Any], known: str) -> str:
        async with asyncio.timeout(LIMIT):
            async with connect(url, additional_headers=house.stranger.headers) as connection:
                await connection.send(msgspec.json.encode(body).decode())
                frames = [str(await connection.recv())]
                while not re.search(r'"type":"(error|response\.(completed|failed|steer\.\w+))"', frames[-1]):
                    frames.append(str(await connection.recv()))
        return re.sub(
            r'_at":\d+', "", re.sub(r"[a-z]+_[0-9a-f]{20,}", "ID", frames[-1].replace(known, "SENT"))
        )

    for known, body in cases(house, request_bodies):
        said = [
            await told({"type": "response.create", **body(each)}, each) for each in (known, unknown(known))
        ]
        assert said[0] == said[1]
    for kind in RESPONSES:
        known = house.owner.has[kind]
        steer = {"type": "response.steer", "input": "hi"}
        said = [await told({**steer, "previous_response_id": each}, each) for each in (known, unknown(known))]
        assert said[0] == said[1]
        assert "response_not_found" in said[0]
    await check_untouched(house)
