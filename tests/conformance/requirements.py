"""What the API demands of a server, one sentence for each promise, as data.

An id is the section and the number, or the name, of the clause of the specification that it restates. A requirement
without a remark is proved by tests, which name it with `@proves`. Two remarks are possible:

    not_yet      since when and why it is not there; no test names it
    divergence   what this server does instead, on purpose; proved like any other, and the same sentence stands in
                 docs/compatibility.md for users to read

`test_requirements` holds all of this together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = ["REQUIREMENTS", "SECTIONS", "Requirement", "Section"]


class Requirement(msgspec.Struct, frozen=True):
    """One promise, in our own words."""

    id: str
    text: str
    not_yet: str = ""
    divergence: str = ""


class Section(msgspec.Struct, frozen=True):
    """Requirements of one source."""

    source: str
    requirements: tuple[Requirement, ...]


R = Requirement


# Where this server differs on purpose: the sentences of docs/compatibility.md

CASCADE = (
    "`DELETE /v1/responses/{id}` also takes `?cascade=true`, which deletes the whole subtree and answers with its "
    "`deleted_ids`."
)
CHAT_CHAINS = (
    "Chat Completions take `previous_response_id`, which the original refuses there: the items of the ancestors come "
    "before the new messages, and a chain may go through both endpoints."
)
CHAT_STORE = (
    "Every chat completion is kept so that its id can be continued, unless `store` is false; listed and retrieved is, "
    "as in the original, only what was created with `store: true`."
)
CONTEXT = "`input_items` lists the whole context that the model saw, earlier turns included."
DELETION = (
    "A deleted turn is absent from what its descendants see, and every other turn, older and newer, is there; the "
    "original drops the older ones too."
)
DONE = (
    "Responses streams end without `data: [DONE]`, as the original's do; Open Responses wants it, and the setting "
    "`server.done_sentinel` sends it."
)
ERROR_EVENT = (
    "An `error` event is flat and nested at once, so that clients of either form find what they look for."
)
ERROR_TYPES = "The `type` of an error is the original's word, not that of Open Responses."
ANY_PARENT = (
    "A turn that is `incomplete`, `failed` or `cancelled` can be continued: what it produced is carried."
)
RUNNING_PARENT = (
    "A turn that is still being produced is refused as a parent with `previous_response_not_ready`."
)
HELD = (
    "While a response is made in a conversation, its items cannot be changed either: that is refused with "
    "`conversation_locked`, too."
)
TAKEN_OUT = (
    "An item that is deleted from a conversation is not seen by any later response in it; a response that was made "
    "before keeps it in its own context, and so do its continuations."
)
RESPONSE_DELETED = (
    "Deleting a response that was made in a conversation removes its items from that, too: the contents are "
    "gone."
)
ANY_STREAM = (
    "Any stored response that was streamed can be streamed again, live or finished, not only background ones, for as "
    "long as it is stored."
)
STEERED_OUTPUTS = (
    "What a response was told while it waits for its client's tools comes after their outputs, not before: many "
    "engines take nothing between a call and its output."
)
FAILED_SOCKET = (
    "Over a WebSocket a response that fails ends with `response.failed` alone, without the `error` event before it: "
    "clients take either for the end."
)
INHERITED = (
    "No setting is inherited along a chain, `tools` among them, as in the original; Open Responses counts tools as "
    "part of the earlier input."
)
MODEL_NAMES = (
    "A model name without a mapping goes to the default engine, which says whether it has it; a response repeats the "
    "name that was asked for."
)
NO_MODEL_DELETION = "Models cannot be deleted: they are the engines' own."
OBFUSCATION = "Deltas carry no `obfuscation`, whether it is asked for or not."
ONE_CHOICE = (
    "`n` above 1 is refused: a completion is a turn that others continue by its id, so it has one answer."
)
END_USERS = (
    "Where a server keeps [end users](keys.md#end-users) apart, a request that does not say for whom it is gets "
    "`missing_end_user`."
)
FILE_GONE = (
    "A file that was deleted or has expired is replaced by a note to the model in the turns that named it, so that "
    "their chains go on."
)
GRAMMARS = (
    "The grammar of a custom tool holds a Chat Completions engine only where the setting `grammar` says how, and where "
    "that tool must be called; elsewhere it is told to the model as a part of the description."
)
PROMPT_INPUT = (
    "The messages of a [prompt template](prompts.md) are part of the turn's input: they are listed with it, and later "
    "turns see them."
)
LOCAL_NAMES = "A server without keys answers under local names only, and no pages of other origins."
OUR_BOUNDS = (
    "A request has at most 20,000 items, headers of at most 64 KB, and is given up (`request_timeout`) where it does "
    "not come on."
)
RATE_HEADERS = (
    "`x-ratelimit-*` headers are sent where there are [limits](keys.md#limits), and tokens are counted when a response "
    "has ended."
)
RAW_REASONING = (
    "Raw reasoning is streamed under the names of the official SDK (`response.reasoning_text.*`), not under those of "
    "Open Responses."
)
REASONING_PAIRS = (
    "An item that is sent without the reasoning that once led to it is accepted; encrypted reasoning is judged by the "
    "engine that sealed it."
)
WHOLE_TURNS = (
    "With `truncation: auto` whole turns are dropped, the oldest first, some at once, and never a part of one, a "
    "system message or the new input; where it does not help, that is the error that `disabled` gives."
)
SUMMARY_ALONE = (
    "Behind a compaction a model sees the summary, the system messages and what follows, also where a client sends the "
    "user messages before it along; the old turns stay stored."
)
COMPACTED_AFTER = (
    "A compaction that `context_management` asks for comes behind the answer, and if it fails the answer "
    "stands."
)
WITHHELD = (
    "Reasoning that an engine is not shown is named in `input_transformations` once, by the first response that is "
    "made without it, with the reason `model_mismatch`."
)
TIERS = (
    "`service_tier` and `reasoning.summary` are repeated as they were asked for, not as they were resolved."
)
UNKNOWN_ITEMS = (
    "Items of a kind that this server does not know are carried where that is safe: extensions (`vendor:name`), and "
    "calls and outputs of newer kinds."
)
UPSTREAM_ERRORS = (
    "A failure of the engine has the type `upstream_error` (`rate_limit_error` where it is busy, "
    "`invalid_request_error` where it refused the request itself), and a status and a code of its own."
)
ALLOWED_TOOLS = (
    "With the tool choice `allowed_tools`, a Chat Completions engine is offered only the tools that are "
    "allowed."
)
SECTIONS: Final = (
    Section(
        "§1.1 Responses",
        (
            R(
                "1.1.create",
                "POST /responses answers with the response, or with its events if `stream` is true.",
            ),
            R("1.1.retrieve", "GET /responses/{id} gives a stored response as it was created."),
            R("1.1.delete", "DELETE /responses/{id} removes it; afterwards it is not found."),
            R(
                "1.1.input_items",
                "GET /responses/{id}/input_items pages by limit (1 to 100, else 20), order (else desc) and after.",
            ),
            R("1.1.cancel", "POST /responses/{id}/cancel ends a background response and answers with it."),
            R("1.1.input_tokens", "POST /responses/input_tokens."),
            R("1.1.compact", "POST /responses/compact."),
            R("1.1.6", "input_tokens counts the whole context, and creates nothing."),
            R("1.1.websocket", "GET /responses, upgraded."),
            R("1.1.1", "Success is always status 200."),
            R("1.1.2", "`model` is required."),
            R("1.1.3", "A deletion answers with id, object `response` and deleted true.", divergence=CASCADE),
            R("1.1.4", "A list has object, data, first_id, last_id and has_more."),
            R(
                "1.1.5",
                "The input items of a chained response are its whole context, newest first.",
                divergence=CONTEXT,
            ),
            R("1.1.7", "The multi-agent beta.", not_yet="2026-11-20: no engine offers it"),
            R("1.1.8", "Arrays in a query are taken with and without brackets."),
            R("1.1.9", "Ids in paths may be percent-encoded."),
        ),
    ),
    Section(
        "§1.2 Conversations",
        (
            R("1.2.table", "The eight endpoints of /conversations."),
            R("1.2.10", "An unknown path is a 404 that names method and path."),
        ),
    ),
    Section(
        "§1.3 Chat Completions",
        (
            R("1.3.create", "POST /chat/completions answers with a completion or with chunks."),
            R(
                "1.3.list",
                "GET /chat/completions pages by after, limit (20) and order (asc) and filters by model and metadata.",
            ),
            R("1.3.retrieve", "GET /chat/completions/{id} gives a stored completion."),
            R("1.3.update", "POST /chat/completions/{id} replaces the metadata, which may be null."),
            R("1.3.delete", "DELETE /chat/completions/{id} answers with object `chat.completion.deleted`."),
            R(
                "1.3.messages",
                "GET /chat/completions/{id}/messages lists messages with id and content_parts.",
            ),
            R("1.3.choices", "`n` choices are produced.", divergence=ONE_CHOICE),
            R(
                "1.3.11",
                "Only what was created with `store: true` is listed and retrieved.",
                divergence=CHAT_STORE,
            ),
            R("1.3.12", "Chat Completions know no previous_response_id.", divergence=CHAT_CHAINS),
            R("1.3.13", "Ids begin with `chatcmpl-`, and a stream ends with `data: [DONE]`."),
        ),
    ),
    Section(
        "§1.4 Models",
        (
            R("1.4.14", "GET /models lists id, created, object and owned_by; GET /models/{id} gives one."),
            R("1.4.14.delete", "DELETE /models/{id}.", divergence=NO_MODEL_DELETION),
            R(
                "1.4.15",
                "An unknown model is a 400 on responses and a 404 on chat and models, with model_not_found.",
            ),
            R("1.4.15.default", "A model that is not listed is unknown.", divergence=MODEL_NAMES),
        ),
    ),
    Section(
        "§1.5 Webhook administration",
        (R("1.5.16", "/webhook_endpoints: the SDK manages them, and the secret is shown when it is made."),),
    ),
    Section(
        "§2.1 The response object",
        (
            R(
                "2.1.keys",
                "Every key is there in every response, at every stage, null where it has no value.",
            ),
            R("2.1.defaults", "What was not asked for is told by its default."),
            R("2.1.given", "What was asked for is repeated."),
            R(
                "2.1.created_at",
                "created_at and completed_at are whole seconds; the latter only when completed.",
            ),
            R(
                "2.1.status",
                "A response is in_progress, then completed, incomplete, failed or cancelled for good.",
            ),
            R("2.1.error", "error is an object when the response failed, else null."),
            R("2.1.metadata", "metadata is an object, never null."),
            R("2.1.model", "model is the dated snapshot that answered.", divergence=MODEL_NAMES),
            R("2.1.service_tier", "service_tier is resolved when the response ends.", divergence=TIERS),
            R("2.1.usage", "usage is null until the end, and on a cancelled response."),
            R("2.1.17", "include, stream, stream_options and context_management are not repeated."),
            R(
                "2.1.18",
                "Reasoning that was withheld from the model is reported in input_transformations.",
                divergence=WITHHELD,
            ),
            R("2.1.19", "Functions are repeated in full, and made strict where their schema permits it."),
            R("2.1.20", "`reasoning.summary: auto` is repeated as what it became.", divergence=TIERS),
            R(
                "2.1.21",
                "usage has its two objects of details, with cached, cache-write and reasoning tokens.",
            ),
            R("2.1.22", "incomplete_details.reason is max_output_tokens or content_filter."),
            R(
                "2.1.23",
                "The code of a failed response is one of the official list, or `context_length_exceeded`.",
            ),
            R("2.1.24", "output_text is a matter of the SDK and never on the wire."),
        ),
    ),
    Section(
        "§2.2 Ids",
        (
            R("2.2.25", "Ids have the official prefixes; a call_id is `call_` and 24 letters and digits."),
            R(
                "2.2.26",
                "Ids of a chain share its key; all are at most 64 letters, digits, dashes and underscores.",
            ),
            R("2.2.27", "Ids on input items are checked: prefix, characters, length, once in a request."),
        ),
    ),
    Section(
        "§2.3 Items",
        (
            R("2.3.table", "Every official kind of item is taken as input, stored and listed again."),
            R("2.3.newer", "Items of other kinds are refused.", divergence=UNKNOWN_ITEMS),
            R(
                "2.3.28",
                "Messages have four roles; a string is one text part, of input or of output by the role.",
            ),
            R("2.3.29", "A string as `input` is one user message."),
            R("2.3.30", "Encrypted reasoning is in the output by default, whole when the item is done."),
            R("2.3.31", "The phase of an assistant's message is kept and sent back to the model."),
            R("2.3.32", "Items in progress say so; items that are read later are completed or incomplete."),
        ),
    ),
    Section(
        "§2.4 Limits",
        (
            R("2.4.input", "An input string has at most 10,485,760 characters."),
            R("2.4.max_output_tokens", "max_output_tokens is at least 16."),
            R("2.4.top_logprobs", "top_logprobs is 0 to 20."),
            R("2.4.temperature", "temperature is 0 to 2."),
            R("2.4.top_p", "top_p is 0 to 1."),
            R("2.4.call_id", "A call_id has 1 to 64 characters."),
            R("2.4.name", "A function's name has 1 to 128 letters, digits, dashes and underscores."),
            R("2.4.image_url", "An image_url has at most 20,971,520 characters."),
            R("2.4.file_data", "file_data has at most 73,400,320 characters."),
            R("2.4.encrypted_content", "encrypted_content has at most 20,971,520 characters."),
            R("2.4.metadata", "metadata has at most 16 pairs, keys of 64 and values of 512 characters."),
            R("2.4.safety_identifier", "A safety_identifier has at most 128 characters."),
            R("2.4.prompt_cache_key", "A prompt_cache_key has at most 64 characters."),
            R("2.4.items", "At most 20 items in one call on a conversation."),
        ),
    ),
    Section(
        "§3.1 What is carried",
        (
            R(
                "3.1.33",
                "The context is the input and output of every ancestor, oldest first, then the new input.",
            ),
            R("3.1.34", "A parent's instructions are not carried; the request's own come first."),
            R("3.1.35", "No setting is inherited.", divergence=INHERITED),
            R("3.1.36", "System and developer messages of the input are items, and are carried."),
            R("3.1.37", "usage.input_tokens counts the ancestors too."),
            R("3.1.38", "`input` is required, also with a parent, and is not null."),
            R("3.1.38.empty", "An empty input is accepted where there is a parent."),
        ),
    ),
    Section(
        "§3.2 Which parents work",
        (
            R("3.2.completed", "A completed response can be continued."),
            R("3.2.incomplete", "An incomplete response can be continued; its partial output is carried."),
            R("3.2.reasoning_only", "So can one that ended while it was still reasoning."),
            R("3.2.cancelled", "A cancelled response: nothing official says.", divergence=ANY_PARENT),
            R("3.2.failed", "A failed response: nothing official says.", divergence=ANY_PARENT),
            R(
                "3.2.running",
                "A foreground response in progress cannot be seen yet.",
                divergence=RUNNING_PARENT,
            ),
            R("3.2.queued", "A background response that waits or runs.", divergence=RUNNING_PARENT),
            R("3.2.store_false", "A response with `store: false` cannot be continued."),
            R("3.2.compacted", "The id of a compaction cannot be continued."),
            R(
                "3.2.warm_up",
                "A warm-up response can be continued.",
                not_yet="2026-11-20: comes with WebSocket mode",
            ),
            R("3.2.deleted", "A deleted response cannot be continued."),
            R("3.2.other_project", "Another project's response is answered as unknown, everywhere."),
            R("3.2.39", "A response may have any number of children; they never see one another."),
            R("3.2.40", "Deleting a turn in the middle leaves its descendants.", divergence=DELETION),
            R("3.2.41", "The model may change along a chain."),
            R("3.2.42", "A child with `store: false` reads its chain."),
            R("3.2.43", "A response of a conversation can be continued; its child is not appended to that."),
            R("3.2.44", "Responses are kept for at least 30 days by default."),
        ),
    ),
    Section(
        "§3.3 Errors of parents",
        (
            R("3.3.unknown", "An unknown parent is a 400 previous_response_not_found."),
            R("3.3.type", "A parent that is no string is an invalid_type."),
            R("3.3.prefix", "A parent with another prefix is an invalid_id_prefix."),
            R("3.3.characters", "A parent with other characters is an invalid_value."),
            R("3.3.conversation", "A parent and a conversation exclude one another."),
            R("3.3.empty_input", "An empty input with nothing to continue says what could be given."),
            R("3.3.not_found", "A stored response that is unknown is a 404 with neither param nor code."),
            R("3.3.45", "Unknown parameters are refused, those of Chat Completions with a hint."),
            R("3.3.45.order", "Of several faults the one that the original checks first is told."),
        ),
    ),
    Section(
        "§3.4 Consistency of the context",
        (
            R("3.4.function_call", "A function call without its output is refused by its call_id."),
            R("3.4.shell_call", "So is a shell call, in its own words."),
            R("3.4.output", "An output without its call is refused by its call_id."),
            R("3.4.reasoning", "Reasoning that is sent without what followed it is refused."),
            R("3.4.follower", "What followed is refused without its reasoning.", divergence=REASONING_PAIRS),
            R("3.4.duplicate", "An item id that comes twice is refused."),
            R("3.4.item", "A reference to an item that is not stored is a 404 that says why that may be."),
            R("3.4.46", "Every one of parallel calls needs its output, in any order."),
            R("3.4.46.async", "An asynchronous call may be answered later; an output may name no call."),
            R("3.4.47", "An item that the chain has already is a duplicate."),
            R("3.4.48", "A reference stands for any stored item of the project; its type may be left out."),
            R("3.4.49", "Output items may be sent as input, with or without their ids."),
        ),
    ),
    Section(
        "§4.1 The wire",
        (
            R("4.1.1", "An event is a line with its type and a line of JSON; no `id:`, no `retry:`."),
            R("4.1.2", "A stream is text/event-stream in UTF-8 with status 200."),
            R(
                "4.1.3",
                "Responses streams end without [DONE], unless a setting asks for it.",
                divergence=DONE,
            ),
            R("4.1.4", "Chat streams have no event lines and end with [DONE]."),
            R("4.1.5", "sequence_number counts every event from 0, without a gap."),
            R("4.1.6", "Comments may stand between events."),
            R("4.1.7", "Deltas carry obfuscation by default.", divergence=OBFUSCATION),
            R("4.1.8", "stream_options.include_usage is unknown to responses."),
            R("4.1.9", "What is wrong with a request is told by a status, also for a stream."),
        ),
    ),
    Section(
        "§4.2 The order of events",
        (
            R("4.2.10", "created, in_progress, items, then exactly one end, and nothing after it."),
            R("4.2.10.queued", "A background response is created queued, then queued, then in_progress."),
            R("4.2.11", "Items are added in the order of output_index; whatever is added is done."),
            R("4.2.12", "A text: part added, deltas, annotations, text done, part done, item done."),
            R("4.2.13", "A refusal: the same with its own part and events."),
            R("4.2.14", "A summary of reasoning: part added, deltas, text done, part done, for each part."),
            R("4.2.15", "Raw reasoning: part added, deltas, text done, part done."),
            R("4.2.16", "A function call: arguments in deltas, then whole."),
            R("4.2.17", "A custom tool call: input in deltas, then whole."),
            R("4.2.18", "MCP: the engine's events pass in their order, under our ids and numbers."),
            R("4.2.19", "Web and file search: likewise."),
            R("4.2.20", "Code interpreter: likewise."),
            R("4.2.21", "Image generation: likewise."),
            R("4.2.22", "Shell: likewise; the events of its commands carry no item_id."),
            R("4.2.23", "Compaction: item added, compacting, item done; the last item of the output."),
            R("4.2.24", "A failure in the middle: an error event, then response.failed."),
            R("4.2.25", "A cancelled response ends with response.failed and the status cancelled."),
        ),
    ),
    Section(
        "§4.3 The error event",
        (
            R("4.3.26", "The SDK types it flat.", divergence=ERROR_EVENT),
            R("4.3.27", "The wire has it nested.", divergence=ERROR_EVENT),
            R("4.3.28", "The SDK's raw stream raises APIError with its message."),
        ),
    ),
    Section(
        "§4.4 What the SDK's helper needs",
        (
            R("4.4.first", "response.created comes first."),
            R("4.4.parts", "An item and its part are added before their deltas."),
            R("4.4.identity", "Response and items keep their ids from event to event."),
            R("4.4.output", "The last response has its whole output, as the helper put it together itself."),
            R("4.4.error", "An error is raised, with its message."),
            R(
                "4.4.unfinished",
                "Without response.completed the helper says so, and the raw stream just ends.",
            ),
        ),
    ),
    Section(
        "§4.5 Resuming",
        (
            R("4.5.29", "GET with stream and starting_after tells the later events again, live or finished."),
            R("4.5.30", "Only background streams can be resumed.", divergence=ANY_STREAM),
            R("4.5.30.plain", "A response that was not streamed cannot be; param is `stream`."),
            R("4.5.31", "Beyond the last event there is an empty stream."),
            R("4.5.32", "The SDK's helper resumes by response_id."),
        ),
    ),
    Section(
        "§5 Background mode",
        (
            R("5.1", "A background response is answered at once, queued, with no output and no usage."),
            R("5.2", "It is in_progress and then has its end, which never changes."),
            R("5.3", "It can be retrieved at any time."),
            R("5.4", "With `store: false` it is kept for a while to be retrieved, and cannot be continued."),
            R("5.5", "Cancelling keeps what came; cancelling again answers the same."),
            R("5.6", "Only background responses can be cancelled; one that has ended is answered as it is."),
            R("5.8", "Its stream survives its client."),
            R("5.10", "A response under way cannot be deleted."),
            R("5.webhooks", "Each end is told to webhooks, once, in a form that the SDK verifies."),
        ),
    ),
    Section(
        "§6 Conversations",
        (
            R("6.1", "A new conversation is told without its items; its metadata is {} where none is given."),
            R("6.2", "Items are answered as a list in their order, completed, each with an id."),
            R("6.3", "Items are listed newest first, 20 at a time, and a limit is between 1 and 100."),
            R("6.4", "An empty list has no first and no last id."),
            R(
                "6.5",
                "An unknown conversation or item is a 404 that names it, also where one is created in it.",
            ),
            R("6.6", "A body that is no JSON is called that."),
            R("6.7", "A conversation is deleted once; its items stay with their responses."),
            R("6.8", "An item that is deleted is not seen any more.", divergence=TAKEN_OUT),
            R("6.9", "Deleting an item answers with the conversation."),
            R("6.10", "A conversation is given by its id or as an object, and told with the response."),
            R("6.11", "All items come before the input; input and output are appended together at the end."),
            R("6.11.ends", "An incomplete response is appended, a failed or cancelled one is not."),
            R("6.12", "Instructions are not kept in the conversation."),
            R("6.13", "One response at a time is made in a conversation.", divergence=HELD),
            R("6.14", "With `store: false` a conversation is read."),
            R("6.15", "A conversation and a parent exclude one another."),
            R("6.16", "A pending call blocks further responses until it is answered or deleted."),
            R("6.17", "Compaction inside a conversation."),
            R("6.18", "A conversation and what is in it do not expire.", divergence=RESPONSE_DELETED),
            R(
                "6.19",
                "A message of a conversation may be of any role, with any kind of text in it, or a screenshot.",
            ),
        ),
    ),
    Section(
        "§7-§9 Compaction, truncation, hosted tools",
        (
            R("8.compaction", "Compaction and context_management.", divergence=COMPACTED_AFTER),
            R(
                "8.4",
                "Later turns see a compaction in place of what came before it.",
                divergence=SUMMARY_ALONE,
            ),
            R("9.truncation", "`truncation: auto`.", divergence=WHOLE_TURNS),
            R("9.13", "A configuration_update stays in force along the chain until another replaces it."),
            R(
                "9.hosted",
                "Hosted tools of this server's own.",
                not_yet="2026-11-20: a Responses engine may have some",
            ),
        ),
    ),
    Section(
        "§9 Files, prompts and optional settings",
        (
            R("1.files", "The SDK uploads, lists, retrieves, reads and deletes files."),
            R("1.files.expiry", "A file expires when it was asked to; one for a batch after 30 days."),
            R("9.images", "An image is given as a URL, as data or as a file."),
            R("9.images.refused", "A model that cannot see is shown no image, and the error names the part."),
            R("9.files", "A file is given as data or as an uploaded file."),
            R("9.files.url", "A file is given as a URL."),
            R("9.files.deleted", "A file that was deleted is not there any more.", divergence=FILE_GONE),
            R("9.audio", "A sound is given as data."),
            R("9.18.output", "The output of a function is a text, or texts, images and files."),
            R(
                "9.11",
                "A prompt gives model, instructions, input and settings; an unknown one is a 404 before others.",
            ),
            R("9.11.versions", "Without a version the one that counts is taken."),
            R("9.11.reload", "A prompt may change while programs use it."),
            R(
                "9.11.variables",
                "A variable is a text, an image or a file; one that is missing or unknown is named.",
            ),
            R("9.11.input", "The messages of a prompt are told as instructions.", divergence=PROMPT_INPUT),
            R("9.11.passed", "A prompt that only the engine has is passed on to it."),
            R("9.19.grammar", "The input of a custom tool is of its grammar.", divergence=GRAMMARS),
            R(
                "9.passes",
                "An optional setting is given to an engine that takes it, and else named in a header.",
            ),
        ),
    ),
    Section(
        "§7 WebSocket mode",
        (
            R("7.websocket", "The events of a stream, one JSON object in each text frame, without [DONE]."),
            R("7.1.sdk", "The SDK connects and talks."),
            R("7.1.2", "The header OpenAI-Beta changes nothing."),
            R("7.1.3", "Frames are compressed for those who offer it only."),
            R("7.1.4", "A wrong key is a 401 on the upgrade."),
            R("7.1.6", "A connection that lasted its time is told so, and closed."),
            R("7.1.stop", "A server that stops lets the response end and closes with 1012."),
            R("7.1.gone", "A stored response outlives its socket and can be taken up again."),
            R("7.2.7", "response.create takes what POST takes; stream is ignored, background refused."),
            R("7.2.8", "generate: false, or prewarm, prepares a response that can be continued."),
            R("7.2.10", "response.inject of the beta is refused by its name."),
            R("7.3.12", "sequence_number counts for each response; stream_id is told on a named lane."),
            R("7.3.13", "Without a stream_id requests run strictly one after another."),
            R("7.3.14", "A lane is in order; different lanes run side by side."),
            R("7.3.14.in_flight", "At most 16 responses are in flight, more wait."),
            R("7.3.14.names", "At most 32 names of lanes."),
            R("7.3.15", "A lane may fork from a response of another."),
            R("7.4.16", "The latest response of a lane can be continued though it is not stored."),
            R("7.4.17", "A continuation that fails evicts what it continued, on its own lane only."),
            R("7.4.18", "Another connection knows nothing of what is not stored."),
            R("7.5.19", "An error is an object with a status, and the connection stays open."),
            R("7.5.failed", "The events of a failure are those of a stream.", divergence=FAILED_SOCKET),
            R("7.5.20", "The codes and messages of wrong and of too many stream_ids."),
            R("7.steering", "response.steer tells a response more while it is produced."),
            R("7.6.22", "Only messages of a user are taken, of text, images and files."),
            R("7.6.23", "It is accepted, the response ends as steered, a successor goes on by itself."),
            R(
                "7.6.24",
                "Where tools are waited for, what was told waits too, and goes before the client's input.",
                divergence=STEERED_OUTPUTS,
            ),
            R("7.6.25", "What cannot be told is given back with a code."),
        ),
    ),
    Section(
        "§10 Errors and transport",
        (
            R("10.1.envelope", "Every error is an object with message, type, param and code, as JSON."),
            R("10.1.400", "A wrong request: BadRequestError, invalid_request_error."),
            R("10.1.401", "No key or a wrong one: AuthenticationError, invalid_api_key."),
            R("10.1.403", "A key that may not: PermissionDeniedError."),
            R("10.1.401.project", "OpenAI-Project and OpenAI-Organization must be those of the key."),
            R("10.1.403.scope", "A key may do what its scopes say."),
            R("10.1.403.origin", "A key is all that a request needs.", divergence=LOCAL_NAMES),
            R("10.1.400.end_user", "Whom an application asks for is its own affair.", divergence=END_USERS),
            R("10.1.404", "Nothing there: NotFoundError."),
            R("10.1.405", "Another method: an error in the envelope, and what is allowed."),
            R("10.1.413", "A body over the limit: an error in the envelope, before it was read."),
            R("10.1.bounds", "What else the original bounds is not known.", divergence=OUR_BOUNDS),
            R("10.1.422", "422 is not used."),
            R("10.1.429", "Too busy: RateLimitError."),
            R("10.1.500", "A fault of the server's: InternalServerError, which reveals nothing."),
            R("10.1.upstream", "There are no engines behind the original.", divergence=UPSTREAM_ERRORS),
            R("10.2.unknown_parameter", "An unknown parameter is named, with what may have been meant."),
            R("10.2.missing_required_parameter", "A missing parameter is named by its path."),
            R("10.2.invalid_type", "A wrong type: what was expected, and what came."),
            R("10.2.invalid_value", "A wrong value: which are supported."),
            R(
                "10.2.bounds",
                "A number beyond its bounds: the bound, in the codes for integers and decimals.",
            ),
            R("10.2.object_above_max_properties", "Too much metadata: how much there may be."),
            R("10.2.unsupported_parameter", "A parameter of Chat Completions: where it went."),
            R("10.2.unsupported_value", "A value that cannot be had here."),
            R("10.2.invalid_json", "A body that is no JSON is called that."),
            R("10.2.context_length_exceeded", "A context that is too long is an error that says so."),
            R("10.2.conversation_locked", "A conversation in use."),
            R("10.3", "Replies carry x-request-id, openai-processing-ms and openai-version."),
            R("10.3.client_request_id", "X-Client-Request-Id is at most 512 ASCII characters; it is echoed."),
            R("10.3.limits", "Replies carry x-ratelimit-* headers.", divergence=RATE_HEADERS),
            R("10.4", "The SDK reads the request id and the parts of an error from where it expects them."),
            R("10.5", "A caller's Idempotency-Key is honoured."),
            R("10.6", "What is worth another try says when; what is not says so with x-should-retry."),
            R("10.7", "A stream that is idle gets comments."),
        ),
    ),
    Section(
        "§11 Chat Completions and previous_response_id",
        (
            R("11.signature", "The SDK itself refuses the keyword before anything is sent."),
            R("11.acreate", "The SDK itself has no acreate."),
            R("11.extra_body", "The SDK sends what is in extra_body."),
            R("11.extra_field", "The SDK lets an extra field of a reply be read."),
            R("11.2", "No version of the original takes the parameter on chat.", divergence=CHAT_CHAINS),
            R("11.4.a", "extra_body works, in the synchronous and the asynchronous client."),
            R("11.4.b", "The Responses API works with the keyword."),
            R("11.4.c", "The drop-in client takes the keyword and has an acreate that can be awaited."),
            R(
                "11.5.context",
                "The ancestors' messages come before the new ones, system messages among them.",
            ),
            R("11.5.id", "An id of either endpoint continues at either endpoint."),
            R("11.5.echo", "The reply tells previous_response_id, in every chunk too."),
            R("11.5.unknown", "An unknown parent is the same error at both endpoints."),
        ),
    ),
    Section(
        "Open Responses, version 2026-04-24",
        (
            R("OR.http", "JSON in; application/json or text/event-stream out."),
            R("OR.done", "Streams end with [DONE].", divergence=DONE),
            R("OR.one_piece", "Every event is written in one piece."),
            R("OR.error_types", "Errors have types of their own.", divergence=ERROR_TYPES),
            R("OR.error_event", "The error event is nested, and response.failed follows it."),
            R("OR.response_error", "The error of a response has a code and a message."),
            R("OR.keys", "31 keys are required in every response, numbers are never null."),
            R("OR.tools", "Repeated functions have name, description, parameters and strict."),
            R("OR.items", "Every output item has id, type and, but for reasoning, status."),
            R("OR.function_call", "A function call has id, call_id, name, arguments and status."),
            R(
                "OR.reasoning",
                "Reasoning has a summary; content and encrypted_content are there or absent, not null.",
            ),
            R("OR.incomplete", "An incomplete item is the last, and its response is incomplete."),
            R("OR.extensions", "Extension items are named `vendor:name`, and are carried."),
            R("OR.reasoning_names", "Raw reasoning has event names of its own.", divergence=RAW_REASONING),
            R("OR.context", "Earlier input, earlier output, new input: in this order."),
            R("OR.tools_inherited", "Tools are part of the earlier input.", divergence=INHERITED),
            R("OR.truncation", "With truncation disabled a context that is too long fails."),
            R("OR.tool_choice", "none, required and a named function reach the engine."),
            R("OR.allowed_tools", "allowed_tools is enforced.", divergence=ALLOWED_TOOLS),
            R("OR.websocket", "WebSocket: one response after another, and a memory of the connection's own."),
            R("OR.compaction", "/responses/compact."),
        ),
    ),
    Section(
        "What broke elsewhere",
        (
            R("P.chain_300", "A chain of 300 turns arrives whole."),
            R("P.restart", "So it does after a restart."),
            R("P.items_160", "A context of 160 items arrives whole."),
            R("P.forks", "Siblings never see one another, whoever is first."),
            R("P.follow_up", "A follow-up in the moment of the end finds its parent."),
            R("P.announced", "An id that was told is stored: it can be retrieved while it is produced."),
            R("P.deleted_parent", "Deleting a parent loses no other turn."),
            R("P.unknown_parent", "An unknown parent is an error, never a shorter history."),
            R("P.nothing_ignored", "Every parameter acts, is passed on, is repeated or is refused by name."),
            R("P.metadata", "The client's own metadata comes back."),
            R("P.same", "The stored response is the one that was told, key for key."),
            R("P.dropped_stream", "A stream that its client left is kept, and can be taken up again."),
            R("P.dropped_engine", "An engine is stopped when nobody waits for it any more."),
            R("P.tools", "Calls and their outputs survive the chain."),
            R("P.interrupted", "A turn that was cut off in the middle of a call can be continued."),
            R("P.dialects", "A chain may move between engines of both dialects."),
            R(
                "P.crash",
                "A run that a crash cut off is failed, with what it had, and nothing that was told is lost.",
            ),
            R(
                "P.replicas",
                "So it is with several servers on one database, when they die or freeze, and when it does.",
            ),
            R(
                "P.fenced",
                "A server that was thought dead writes nothing, and tells no end that is not stored.",
            ),
        ),
    ),
)

REQUIREMENTS: Final[Mapping[str, Requirement]] = {
    requirement.id: requirement for section in SECTIONS for requirement in section.requirements
}
