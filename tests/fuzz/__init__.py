"""Cases for every endpoint, made by schemathesis out of the document that the server publishes.

The engine behind the server follows a script, so that every fault is ours. A case fails where the answer has a status
or a shape that the document does not have, or a fault of the server, or does not come.

    python -m tests.fuzz                at least 20,000 cases
    python -m tests.fuzz --examples 5   a few for each endpoint
"""
