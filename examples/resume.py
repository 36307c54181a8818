"""A stream that breaks off and is picked up where it was: no event is lost or comes twice.

Start a server (`make serve`), then run this.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "not needed on this machine"),
)

numbers: list[int] = []
response_id = ""
stream = client.responses.create(model="gpt-4o", input="Count from one to ten.", stream=True)
for event in stream:
    numbers.append(event.sequence_number)
    if event.type == "response.created":
        response_id = event.response.id
    if event.type == "response.output_text.delta":
        break  # the connection is lost
stream.close()

for event in client.responses.retrieve(response_id, stream=True, starting_after=numbers[-1]):
    numbers.append(event.sequence_number)

assert numbers == list(range(len(numbers)))
print(f"{len(numbers)} events, none lost: {client.responses.retrieve(response_id).output_text}")
