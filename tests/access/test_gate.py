"""Who sent a request, as a whole server sees it: by key, by proxy, by end user, and from which page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, PermissionDeniedError

from catena.access import Registry
from catena.access.scopes import SCOPES
from catena.config import Config, ConfigError, KeySettings, ServerSettings
from catena.entrance import gate_of
from tests.conformance.proves import proves
from tests.running import RunningServer, StartServer

HELLO: dict[str, Any] = {"model": "m", "input": "hi"}


def client(server: RunningServer, secret: str, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0, **options)


def keyed(**settings: Any) -> Config:
    return Config(keys=KeySettings(**settings))


async def created(server: RunningServer, **headers: str) -> Any:
    return await server.http.post("/responses", json=HELLO, headers=headers)


async def read(server: RunningServer, response_id: str, **headers: str) -> Any:
    return await server.http.get(f"/responses/{response_id}", headers=headers)


async def test_each_key_sees_its_own_project(start_server: StartServer) -> None:
    async with start_server() as server:
        registry = Registry(server.store.documents)
        clients = []
        for project in ("red", "blue"):
            await registry.create_project(project)
            _, secret = await registry.create_key(project)
            clients.append(client(server, secret, project=project))
        red, blue = clients
        response = await red.responses.create(**HELLO)
        assert (await red.responses.retrieve(response.id)).id == response.id
        with pytest.raises(Exception, match="not found"):
            await blue.responses.retrieve(response.id)
        for each in clients:
            await each.close()


async def test_every_route_asks_for_a_scope_that_a_key_can_have(server: RunningServer) -> None:
    asked = {route.scope for route in server.app.routes.all} - {None}
    assert asked <= {*SCOPES.values(), "admin"}


@proves("10.1.403.scope")
async def test_a_key_may_do_what_its_scopes_say_and_nothing_else(start_server: StartServer) -> None:
    async with start_server() as server:
        registry = Registry(server.store.documents)
        _, secret = await registry.create_key(scopes=["responses.read", "models.read"])
        reader = client(server, secret)
        await reader.models.list()
        with pytest.raises(PermissionDeniedError) as refusal:
            await reader.responses.create(**HELLO)
        assert refusal.value.body["message"].startswith(  # type: ignore[index]
            "You have insufficient permissions for this operation. Missing scopes: api.responses.write."
        )
        assert refusal.value.code == "missing_scope"
        await reader.close()
        assert server.engine.prompts == []


async def test_a_wrong_key_is_shown_by_its_ends(start_server: StartServer) -> None:
    async with start_server(config=Config(server=ServerSettings(api_key="sk-right"))) as server:
        wrong = client(server, "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789")
        with pytest.raises(AuthenticationError) as refusal:
            await wrong.models.list()
        await wrong.close()
        assert refusal.value.code == "invalid_api_key"
        assert "Incorrect API key provided: sk-proj-********************************6789." in str(
            refusal.value
        )


@proves("10.1.401.project")
async def test_a_project_that_is_not_the_keys_is_refused(start_server: StartServer) -> None:
    config = Config(server=ServerSettings(api_key="sk-right-key"), keys=KeySettings(organization="org-ours"))
    async with start_server(config=config) as server:
        for header, name, good in (
            ("openai-project", "project", "default"),
            ("openai-organization", "organization", "org-ours"),
        ):
            key = {"authorization": "Bearer sk-right-key"}
            assert (await server.http.get("/models", headers={**key, header: good})).status_code == 200
            refused = await server.http.get("/models", headers={**key, header: "proj_other"})
            assert refused.status_code == 401
            assert refused.json()["error"] == {
                "message": f"OpenAI-{name.title()} header should match {name} for API key",
                "type": "invalid_request_error",
                "param": None,
                "code": f"mismatched_{name}",
            }


async def test_required_keys_are_required_before_there_is_one(start_server: StartServer) -> None:
    async with start_server(config=keyed(required=True)) as server:
        assert (await created(server)).status_code == 401
        _, secret = await Registry(server.store.documents).create_key()
        assert (await created(server, authorization=f"Bearer {secret}")).status_code == 200


async def test_a_file_of_keys_opens(start_server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[[keys]]\nkey = "sk-of-the-file-0"\nproject = "red"\nscopes = ["responses.write"]\n')
    async with start_server(config=keyed(file=str(file))) as server:
        assert (await created(server, authorization="Bearer sk-of-the-file-0")).status_code == 200
        assert (await created(server)).status_code == 401
    file.write_text("[[keys]]\n")
    with pytest.raises(ConfigError, match=r"keys\.file: .*keys\.toml: keys\[0\]"):
        gate_of(keyed(file=str(file)), server.store)


# A proxy


async def test_a_trusted_proxy_names_the_project(start_server: StartServer) -> None:
    config = keyed(proxy_header="X-Project", proxy_addresses=["127.0.0.0/8"])
    async with start_server(config=config) as server:
        made = await created(server, **{"x-project": "red"})
        response_id = made.json()["id"]
        assert (await read(server, response_id, **{"x-project": "red"})).status_code == 200
        assert (await read(server, response_id, **{"x-project": "blue"})).status_code == 404
        assert (await read(server, response_id)).status_code == 401
        bad = await read(server, response_id, **{"x-project": "red/ada"})
        assert bad.status_code == 401


async def test_the_header_of_anybody_else_counts_for_nothing(start_server: StartServer) -> None:
    config = keyed(proxy_header="X-Project", proxy_addresses=["10.0.0.1", "fd00::/8"])
    async with start_server(config=config) as server:
        refused = await created(server, **{"x-project": "red"})
        assert refused.status_code == 401
        forged = await created(server, **{"x-project": "red", "x-forwarded-for": "10.0.0.1"})
        assert forged.status_code == 401


# End users


async def test_what_one_end_user_stored_is_unknown_to_another(start_server: StartServer) -> None:
    async with start_server(config=keyed(end_user_header="X-End-User")) as server:
        made = await created(server, **{"x-end-user": "ada"})
        response_id = made.json()["id"]
        assert (await read(server, response_id, **{"x-end-user": "ada"})).status_code == 200
        foreign = await read(server, response_id, **{"x-end-user": "bob"})
        unknown = await read(server, response_id.replace("resp_0", "resp_1"), **{"x-end-user": "bob"})
        assert foreign.status_code == unknown.status_code == 404
        continued = {**HELLO, "previous_response_id": response_id}
        refused = await server.http.post("/responses", json=continued, headers={"x-end-user": "bob"})
        assert refused.json()["error"]["code"] == "previous_response_not_found"


@proves("10.1.400.end_user")
@pytest.mark.parametrize("user", [None, "", "x" * 257])
async def test_who_a_request_is_for_must_be_said_where_it_matters(
    start_server: StartServer, user: str | None
) -> None:
    async with start_server(config=keyed(end_user_header="X-End-User")) as server:
        refused = await created(server, **({} if user is None else {"x-end-user": user}))
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "missing_end_user"
        assert "x-end-user" in refused.json()["error"]["message"]
        assert server.engine.prompts == []


async def test_an_end_user_of_one_project_is_nobody_in_another(start_server: StartServer) -> None:
    config = keyed(end_user_header="X-End-User", proxy_header="X-Project", proxy_addresses=["127.0.0.1"])
    async with start_server(config=config) as server:
        made = await created(server, **{"x-project": "red", "x-end-user": "ada/b"})
        response_id = made.json()["id"]
        for project, user, status in (("red", "ada/b", 200), ("blue", "ada/b", 404), ("red", "ada", 404)):
            headers = {"x-project": project, "x-end-user": user}
            assert (await read(server, response_id, **headers)).status_code == status


# Servers without keys


@proves("10.1.403.origin")
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_origins_may_not_use_a_server_without_keys(
    server: RunningServer, origin: str
) -> None:
    refused = await created(server, origin=origin, **{"content-type": "text/plain"})
    assert refused.status_code == 403
    assert server.engine.prompts == []
    own = await created(server, origin=server.url)
    assert own.status_code == 200


@proves("10.1.403.origin")
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
async def test_a_server_without_keys_answers_under_local_names_only(
    start_server: StartServer, host: str
) -> None:
    """A page whose name was made to lead here could read everything, as to the browser it is its own server."""
    async with start_server() as server:
        refused = await created(server, host=host)
        assert refused.status_code == 403
        assert "server.hosts" in refused.json()["error"]["message"]
        for local in ("localhost:1", "127.0.0.1", "[::1]:8080", "catena:8080", "catena.internal"):
            assert (await created(server, host=local)).status_code == 200
    named = Config(server=ServerSettings(hosts=["evil.example"]))
    async with start_server(config=named) as server:
        assert (await created(server, host="evil.example:80")).status_code == 200


async def test_a_server_with_keys_answers_under_any_name_and_for_any_page(start_server: StartServer) -> None:
    async with start_server(config=Config(server=ServerSettings(api_key="sk-right"))) as server:
        key = {"authorization": "Bearer sk-right"}
        reply = await created(server, **key, host="api.example.com", origin="http://other.example")
        assert reply.status_code == 200
