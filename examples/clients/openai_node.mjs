// The official SDK for JavaScript: chained turns, plain and streamed, over one WebSocket, and in the background.

import assert from "node:assert";

import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "not needed on this machine",
});
const model = "gpt-4o";
const weather = {
  type: "function",
  name: "weather",
  description: "The weather in a city.",
  strict: true,
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};
const WEATHER = '@call weather {"city": "Oslo"}';

/** The answer recites what the model saw. */
function check(answer, ...needed) {
  console.log("   ", answer);
  for (const each of needed) assert(answer.includes(each), `the model did not see ${each}`);
}

/** What a client's tools answer to the calls of a response. */
const outputs = (response) =>
  response.output
    .filter((item) => item.type === "function_call")
    .map((call) => ({
      type: "function_call_output",
      call_id: call.call_id,
      output: `It is sunny in ${JSON.parse(call.arguments).city}.`,
    }));

console.log("create");
const calling = await client.responses.create({ model, input: `My name is Ada.\n${WEATHER}`, tools: [weather] });
const first = await client.responses.create({
  model,
  previous_response_id: calling.id,
  input: outputs(calling),
  tools: [weather],
});
check(first.output_text, "My name is Ada", "It is sunny in Oslo");

console.log("stream");
const stream = client.responses.stream({ model, previous_response_id: first.id, input: "What is my name?" });
let pieces = 0;
stream.on("response.output_text.delta", () => (pieces += 1));
const second = await stream.finalResponse();
assert(pieces > 2);
check(second.output_text, "My name is Ada", "It is sunny in Oslo", "What is my name?");
const items = [];
for await (const item of client.responses.inputItems.list(second.id, { order: "asc", limit: 2 })) items.push(item);
console.log("    items:", items.map((item) => item.type).join(" "));

console.log("parse");
const format = zodTextFormat(z.object({ name: z.string() }), "person");
const parsed = await client.responses.parse({ model, input: '@say {"name": "Ada"}', text: { format } });
assert.deepStrictEqual(parsed.output_parsed, { name: "Ada" });

console.log("background");
let waiting = await client.responses.create({ model, input: "I live in Oslo.", background: true });
while (["queued", "in_progress"].includes(waiting.status)) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  waiting = await client.responses.retrieve(waiting.id);
}
check(waiting.output_text, "I live in Oslo");

console.log("ResponsesWS");
const socket = new ResponsesWS(client);
const events = socket.stream();

/** Ask over the socket, and wait for the end of the response. */
async function turn(request) {
  socket.send({ type: "response.create", model, store: false, tools: [weather], ...request });
  for (;;) {
    const { done, value: event } = await events.next();
    if (done) throw new Error("the socket was closed");
    if (event.type === "error") throw event.error;
    if (event.type === "message" && event.message.type === "response.completed") return event.message.response;
  }
}

const asked = await turn({ input: `I like plums.\n${WEATHER}` });
const answered = await turn({ previous_response_id: asked.id, input: outputs(asked) });
const last = await turn({ previous_response_id: answered.id, input: "What do I like?" });
const said = last.output.filter((item) => item.type === "message").flatMap((item) => item.content);
check(said.map((part) => part.text).join(""), "I like plums", "It is sunny in Oslo", "What do I like?");
await assert.rejects(turn({ previous_response_id: asked.id, input: "And before?" }), /not found/);
socket.close();
