"""Codex CLI: two turns of one session, with commands that are run and patches that are applied, over both transports.

It runs with two of the models that it knows, as it works differently with each: one is offered its tools one by one,
the other writes programs that use them.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")

SETTINGS = f"""
model_provider = "catena"
check_for_update_on_startup = false

[model_providers.catena]
name = "Catena"
base_url = "{BASE_URL}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""
NEW = "*** Begin Patch\n*** Add File: name.txt\n+Ada\n*** End Patch\n"
CHANGE = "*** Begin Patch\n*** Update File: name.txt\n@@\n-Ada\n+Ada Lovelace\n*** End Patch\n"
ANOTHER = (
    '@call collaboration__spawn_agent {"task_name": "pears", "message": "Count the pears."}\n'
    "@call collaboration__wait_agent {}"
)


def by_tools(command: str, patch: str) -> str:
    """What has the model use a shell and apply a patch, where it is offered both."""
    return (
        f"@call exec_command {json.dumps({'cmd': command})}\n@call apply_patch {json.dumps({'input': patch})}"
    )


def by_program(command: str, patch: str) -> str:
    """The same where it is offered a tool that runs programs."""
    program = (
        f"text((await tools.exec_command({{cmd: {json.dumps(command)}}})).output);"
        f"text(await tools.apply_patch({json.dumps(patch)}));"
    )
    return f"@call functions__exec {json.dumps({'input': program})}"


def codex(folder: Path, *arguments: str, model: str, sockets: bool) -> str:
    """Run one turn in a folder; what the model said at its end."""
    command = ["codex", "exec", *arguments, "--json", "--strict-config", "--skip-git-repo-check"]
    command += ["--dangerously-bypass-approvals-and-sandbox", "--model", model]
    command += ["-c", f"model_providers.catena.supports_websockets={json.dumps(sockets)}"]
    environment = {"OPENAI_API_KEY": "not needed on this machine", **os.environ}
    environment["CODEX_HOME"] = str(folder.parent / "home")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    if done.returncode or not said or any(item["type"] == "error" for item in items):
        sys.exit(f"codex failed: {done.stdout}{done.stderr}")
    done_by_it = [item["type"] for item in items if item["type"] != "agent_message"]
    print("    did:", *done_by_it)
    return str(said[-1])


def check(answer: str, *needed: str) -> None:
    """The answer recites what the model saw."""
    print("    said: …", answer.partition("</environment_context>")[2])
    missing = [each for each in needed if each not in answer]
    assert not missing, f"the model did not see {missing}"


for model, ask in (("gpt-5.5", by_tools), ("gpt-6-sol", by_program)):
    for sockets in (False, True):
        print(model, "over WebSocket" if sockets else "over HTTP")
        with tempfile.TemporaryDirectory(prefix="codex-", dir=Path.home()) as made:
            folder = Path(made, "work")
            folder.mkdir()
            Path(made, "home").mkdir()
            Path(made, "home", "config.toml").write_text(SETTINGS)
            first = codex(folder, f"I like plums.\n{ask('echo plum', NEW)}", model=model, sockets=sockets)
            check(first, "I like plums", "Output: plum")
            assert (folder / "name.txt").read_text() == "Ada\n"
            question = f"What do I like?\n{ask('cat name.txt', CHANGE)}"
            second = codex(folder, "resume", "--last", question, model=model, sockets=sockets)
            check(second, "I like plums", "Output: plum", "answered", "What do I like?", "Output: Ada")
            assert (folder / "name.txt").read_text() == "Ada Lovelace\n"
            if model == "gpt-6-sol":
                # What its model tells another agent is an item of its own kind.
                together = f"Ask another.\n{ANOTHER}"
                third = codex(folder, "resume", "--last", together, model=model, sockets=sockets)
                check(third, "I like plums", "Ask another", "called collaboration__spawn_agent")
