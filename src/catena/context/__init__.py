"""From a chain and a new request to the prompt that an engine is given. Pure: no await, no clock, no store.

chain      the turns behind a request as links, each with its own rendered fragment and a pointer back
ledger     which tool calls wait for their outputs, and what the API says when they do not match
offer      which tools a chat engine is offered
chat       items and requests in the dialect of Chat Completions
responses  items and requests in the dialect of the Responses API itself
"""
