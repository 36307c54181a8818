/** Lines to copy: how to continue a turn from a shell and from Python. Pure. */

/** @param {string} origin @param {{id: string, model: string, endpoint?: string} | null} turn @param {boolean} keyed */
export function curlLines(origin, turn, keyed) {
  const body = { model: turn?.model ?? "gpt-4o", previous_response_id: turn?.id, input: turn ? "And then?" : "My name is Ada." };
  return [
    `curl ${origin}/v1/responses \\`,
    ...(keyed ? ['  -H "Authorization: Bearer $OPENAI_API_KEY" \\'] : []),
    "  -H 'Content-Type: application/json' \\",
    `  -d ${quoted(JSON.stringify(body))}`,
  ].join("\n");
}

/** @param {string} origin @param {{id: string, model: string} | null} turn @param {boolean} keyed */
export function pythonLines(origin, turn, keyed) {
  const key = keyed ? "" : ', api_key="unused"';
  const opening = ["from openai import OpenAI", "", `client = OpenAI(base_url="${origin}/v1"${key})`];
  if (turn) {
    return [
      ...opening,
      "response = client.responses.create(",
      `    model=${JSON.stringify(turn.model)},`,
      `    previous_response_id=${JSON.stringify(turn.id)},`,
      '    input="And then?",',
      ")",
      "print(response.output_text)",
    ].join("\n");
  }
  return [
    ...opening,
    'first = client.responses.create(model="gpt-4o", input="My name is Ada.")',
    "second = client.responses.create(",
    '    model="gpt-4o",',
    "    previous_response_id=first.id,",
    '    input="What is my name?",',
    ")",
    "print(second.output_text)",
  ].join("\n");
}

/** For a POSIX shell. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
