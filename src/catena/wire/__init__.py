"""The API's nouns as types: requests, items, tools, responses, events. They parse and dump, nothing else."""
