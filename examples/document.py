"""Two chat completions, linked by previous_response_id, and the same for several chains at once with asyncio.

Start a server (`make serve`), then run this. Only the import differs from the official SDK.
"""

import asyncio
import os

from catena import OpenAI

client = OpenAI(api_key=os.environ.get("OPENAI_API_KEY", "not needed on this machine"))

response1 = client.chat.completions.create(
    model="gpt-4o",
    messages=[{"role": "user", "content": "Hello, who won the 2024 Olympics?"}],
)
print(response1.choices[0].message.content)

response2 = client.chat.completions.create(
    model="gpt-4o",
    previous_response_id=response1.id,
    messages=[{"role": "user", "content": "Can you give more details about the gold medalists?"}],
)
print(response2.choices[0].message.content)


async def chain(first: str, second: str) -> str:
    """The answer to the second message, given with the first in mind."""
    opening = await client.chat.completions.acreate(
        model="gpt-4o", messages=[{"role": "user", "content": first}]
    )
    answer = await client.chat.completions.acreate(
        model="gpt-4o-mini",
        previous_response_id=opening.id,
        messages=[{"role": "user", "content": second}],
    )
    return answer.choices[0].message.content or ""


async def main() -> None:
    """Two chains at once; neither sees the other."""
    answers = await asyncio.gather(
        chain("I live in Lisbon.", "Which city do I live in?"),
        chain("My sister's name is Ingrid.", "What is my sister's name?"),
    )
    print(*answers, sep="\n")


asyncio.run(main())
