"""A tree of turns with the official SDK: a chain, a branch from its first turn, another model in the middle.

Start a server (`make serve`), then run this.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "not needed on this machine"),
)

root = client.responses.create(model="gpt-4o", input="My name is Ada.")
chain = client.responses.create(model="gpt-4o", previous_response_id=root.id, input="What is my name?")
branch = client.responses.create(
    model="gpt-4o-mini", previous_response_id=root.id, input="Write one line of greeting for me."
)

for turn in (root, chain, branch):
    print(turn.id, "←", turn.previous_response_id)
    print("   ", turn.output_text)

print("What the model saw for the branch:")
for item in client.responses.input_items.list(branch.id, order="asc"):
    print("   ", item.type, item.id)
