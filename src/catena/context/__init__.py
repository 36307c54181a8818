"""From a chain and a new request to the prompt that an engine is given. Pure: no await, no clock, no store.

chain      the turns behind a request as links, each with its own rendered fragment and a pointer back
trail      these fragments, one behind the other
view       what of a turn's items an engine is shown
in_force   the settings that the turns of a chain have changed
ledger     which tool calls wait for their outputs, and what the API says when they do not match
prompting  a whole context, and the same without its oldest turns
estimate   how many tokens that has, about
offer      which tools a chat engine is offered
grammars   custom tools with a grammar, for engines that can be held to one
passing    the optional settings that a chat engine is given
receipts   what hosted tools did, told to an engine without them
media      images, files and sounds: where they stand
attach     how an engine is given them
sealed     what clients carry for this server
templates  prompt templates, filled in
chat       items and requests in the dialect of Chat Completions
responses  items and requests in the dialect of the Responses API itself
"""
