"""What hosted tools did, told to an engine that has no such tools.

A chain may begin on an engine with hosted tools and go on with one without. What was done there is told as what such
an engine knows: a call and what came of it. Where nothing is kept of the outcome, it says where that went.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from catena.wire.response import Item

__all__ = ["Receipt", "receipt"]

_LONGEST: Final = 8_000
"""Characters of one outcome. Documents that were found are long, and the answer that they led to follows."""

_ELSEWHERE: Final = "Done. What was found is not kept; the answer that follows is based on it."


class Receipt(msgspec.Struct, frozen=True):
    """A call of `name` with its `arguments`, and its result; without a name, just something to be told."""

    name: str | None
    arguments: str
    result: str


def receipt(item: Item) -> Receipt:
    """The receipt that an item is: of a hosted tool, or of a kind that nobody here knows."""
    told = _RECEIPTS.get(item["type"], _unknown)(item)
    return msgspec.structs.replace(told, result=_cut(told.result))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " […]"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _web_search(item: Item) -> Receipt:
    action = dict(item.get("action") or {})
    sources = action.pop("sources", None)
    action.pop("type", None)
    found = item.get("results") or sources
    return Receipt("web_search", _json(action), _json(found) if found else _ELSEWHERE)


def _file_search(item: Item) -> Receipt:
    found = [_excerpt(each) for each in item.get("results") or ()]
    return Receipt("file_search", _json({"queries": item["queries"]}), "\n\n".join(found) or _ELSEWHERE)


def _excerpt(result: Mapping[str, Any]) -> str:
    return f"{result.get('filename') or result.get('file_id') or 'file'}: {result.get('text') or ''}"


def _code_interpreter(item: Item) -> Receipt:
    logs = [str(each["logs"]) for each in item.get("outputs") or () if each.get("logs")]
    return Receipt("code_interpreter", _json({"code": item.get("code") or ""}), "\n".join(logs) or _ELSEWHERE)


def _image_generation(item: Item) -> Receipt:
    asked = {"prompt": item["revised_prompt"]} if item.get("revised_prompt") else {}
    made = "An image was made and shown to the user." if item.get("result") else "No image was made."
    return Receipt("image_generation", _json(asked), made)


def _mcp_call(item: Item) -> Receipt:
    result = item.get("output") or (f"Error: {_json(item['error'])}" if item.get("error") else "Done.")
    return Receipt(_mcp_name(item), item["arguments"] or "{}", result)


def _approval_request(item: Item) -> Receipt:
    return Receipt(_mcp_name(item), item["arguments"] or "{}", "Not done yet: it waits for an approval.")


def _approval(item: Item) -> Receipt:
    verdict = "approved" if item["approve"] else "not approved"
    why = f": {item['reason']}" if item.get("reason") else ""
    return Receipt(None, "", f"[The call {item['approval_request_id']} was {verdict}{why}.]")


def _mcp_name(item: Item) -> str:
    return f"{item['server_label']}__{item['name']}"


def _program(item: Item) -> Receipt:
    return Receipt("program", _json({"code": item["code"]}), "Started. Its result follows.")


def _program_output(item: Item) -> Receipt:
    return Receipt(None, "", f"[Result of the program {item['call_id']}] {item['result']}")


def _agent_call(item: Item) -> Receipt:
    return Receipt(f"agent__{item['action']}", item["arguments"] or "{}", "Started. Its result follows.")


def _agent_output(item: Item) -> Receipt:
    return Receipt(None, "", f"[Result of the call {item['call_id']}] {_texts(item['output'])}")


def _agent_message(item: Item) -> Receipt:
    said = [*map(_in_the_clear, item["content"])]
    return Receipt(None, "", f"[{item['author']} to {item['recipient']}] {' '.join(filter(None, said))}")


def _in_the_clear(part: Mapping[str, Any]) -> str:
    # Codex passes on what its model told another agent as `encrypted_content`. The official API seals that; a chat
    # engine wrote it as it is.
    sealed = part.get("encrypted_content")
    if sealed is None:
        return str(part.get("text") or "")
    return "[sealed]" if sealed.startswith(_SEALED_ELSEWHERE) else str(sealed)


_SEALED_ELSEWHERE: Final = "gAAAA"
"""What the official API seals begins so."""


def _texts(parts: Any) -> str:
    return " ".join(str(part["text"]) for part in parts if part.get("text"))


def _unknown(item: Item) -> Receipt:
    told = {name: value for name, value in item.items() if name not in ("id", "type")}
    return Receipt(None, "", f"[{item['type']}] {_json(told)}")


_RECEIPTS: Final[Mapping[str, Callable[[Item], Receipt]]] = {
    "agent_message": _agent_message,
    "code_interpreter_call": _code_interpreter,
    "file_search_call": _file_search,
    "image_generation_call": _image_generation,
    "mcp_approval_request": _approval_request,
    "mcp_approval_response": _approval,
    "mcp_call": _mcp_call,
    "multi_agent_call": _agent_call,
    "multi_agent_call_output": _agent_output,
    "program": _program,
    "program_output": _program_output,
    "web_search_call": _web_search,
}
