"""The right to be forgotten: all that belongs to one end user goes, and nothing of anybody else's."""

from __future__ import annotations

from typing import Any

from tests.running import RunningServer, StartServer


async def say(server: RunningServer, text: str, **settings: Any) -> str:
    created = await server.client.responses.create(model="m", input=text, **settings)
    response_id: str = created.id
    return response_id


async def erase(server: RunningServer, end_user: str, **query: str) -> dict[str, Any]:
    reply = await server.http.delete("/end_users", params={"id": end_user, **query})
    assert reply.status_code == 200, reply.text
    report: dict[str, Any] = reply.json()
    return report


async def is_there(server: RunningServer, path: str) -> bool:
    return (await server.http.get(path)).status_code == 200


async def test_a_persons_turns_go_and_the_others_in_the_tree_stay(start_server: StartServer) -> None:
    async with start_server() as server:
        anns = await say(server, "I am Ann", user="ann")
        bobs = await say(server, "I am Bob", previous_response_id=anns, safety_identifier="bob")
        again = await say(server, "Ann again", previous_response_id=bobs, safety_identifier="ann")
        found = await erase(server, "ann", dry_run="true")
        assert (found["responses"], found["deleted"]) == ([anns, again], False)
        assert await is_there(server, f"/responses/{anns}")
        report = await erase(server, "ann")
        assert report == {
            "id": "ann",
            "object": "end_user.deleted",
            "deleted": True,
            "responses": [anns, again],
            "conversations": [],
            "files": [],
            "running": [],
        }
        assert not await is_there(server, f"/responses/{anns}")
        assert not await is_there(server, f"/responses/{again}")
        on = await say(server, "on", previous_response_id=bobs)
        assert "Ann" not in str(server.seen())
        assert "I am Bob" in str(server.seen())
        assert await is_there(server, f"/responses/{on}")
        assert (await erase(server, "ann"))["responses"] == []


async def test_a_conversation_goes_whole_if_nobody_else_spoke_in_it(start_server: StartServer) -> None:
    async with start_server() as server:
        seed: Any = [{"type": "message", "role": "user", "content": "Ann's secret"}]
        hers = (await server.client.conversations.create(items=seed)).id
        shared = (await server.client.conversations.create(items=seed)).id
        in_hers = await say(server, "one", conversation=hers, user="ann")
        in_shared = await say(server, "two", conversation=shared, user="ann")
        await say(server, "three", conversation=shared, user="bob")
        report = await erase(server, "ann")
        assert (report["responses"], report["conversations"]) == ([in_hers, in_shared], [hers])
        assert not await is_there(server, f"/conversations/{hers}")
        assert await is_there(server, f"/conversations/{shared}")
        chain = await server.store.housekeeping.turns_of("default", None)
        assert [turn.conversation for turn in chain] == [shared]
        tree = hers[-50:-34]
        left = await server.store.tree("default", f"conv_{hers[5:]}")
        assert all(turn.deleted for turn in left if turn.tree == tree)


async def test_whose_must_be_said(start_server: StartServer) -> None:
    async with start_server() as server:
        reply = await server.http.delete("/end_users")
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "id")
