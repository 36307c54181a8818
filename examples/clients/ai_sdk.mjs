// The Vercel AI SDK: generateText and streamText with a tool, and turns that are chained by previousResponseId.

import assert from "node:assert";

import { createOpenAI } from "@ai-sdk/openai";
import { Output, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const openai = createOpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "not needed on this machine",
});
const model = openai.responses("gpt-4o");

const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is sunny in ${city}.`,
});
const WEATHER = '@call weather {"city": "Oslo"}';

/** The answer recites what the model saw. */
function check(answer, ...needed) {
  console.log("   ", answer);
  for (const each of needed) assert(answer.includes(each), `the model did not see ${each}`);
}

/** What continues a turn: only what is new is sent. */
const after = (result) => ({ openai: { previousResponseId: result.providerMetadata.openai.responseId } });

console.log("generateText");
const first = await generateText({
  model,
  tools: { weather },
  stopWhen: isStepCount(5),
  prompt: `My name is Ada.\n${WEATHER}`,
});
check(first.text, "My name is Ada", "It is sunny in Oslo");
const second = await generateText({
  model,
  prompt: "What is my name?",
  providerOptions: after(first),
});
check(second.text, "My name is Ada", "It is sunny in Oslo", "What is my name?");

console.log("streamText");
const third = streamText({
  model,
  tools: { weather },
  stopWhen: isStepCount(5),
  prompt: `And the weather?\n${WEATHER}`,
  providerOptions: after(second),
});
let pieces = 0;
for await (const piece of third.textStream) pieces += piece.length > 0;
assert(pieces > 2);
check(await third.text, "My name is Ada", "What is my name?", "And the weather?");

console.log("the whole history, sent by the client");
for (const store of [true, false]) {
  const providerOptions = { openai: { store } };
  const messages = [{ role: "user", content: `I like plums.\n${WEATHER}` }];
  const opening = await generateText({ model, tools: { weather }, stopWhen: isStepCount(5), messages, providerOptions });
  check(opening.text, "I like plums");
  messages.push(...opening.responseMessages, { role: "user", content: "What do I like?" });
  const answer = await generateText({ model, tools: { weather }, messages, providerOptions });
  check(answer.text, "I like plums", "It is sunny in Oslo", "What do I like?");
}

console.log("in a conversation");
const made = await fetch(`${process.env.OPENAI_BASE_URL}/conversations`, { method: "POST" });
const { id: conversation } = await made.json();
for (const prompt of ["I live in Oslo.", "Where?"]) {
  const answer = await generateText({ model, prompt, providerOptions: { openai: { conversation } } });
  check(answer.text, "I live in Oslo", prompt);
}

console.log("an object");
const { output } = await generateText({
  model,
  output: Output.object({ schema: z.object({ name: z.string() }) }),
  prompt: '@say {"name": "Ada"}',
});
assert.deepStrictEqual(output, { name: "Ada" });
