"""The connection to an engine: a small HTTP/1.1 client for what a token stream needs, and nothing else.

It rests on two choices. The bytes of an answer are given as they arrive, joined per wake-up of the reader. A
connection serves again as soon as its answer has arrived whole, and is closed at once when its reader goes
away, so that the engine stops. Nothing of a request or an answer gets into an error or a log.

It refuses to know what the bytes mean. There are no redirects (a 3xx is a reply like any other), no cookies,
no compression (`accept-encoding: identity`), no HTTP/2, no proxies (`HTTP_PROXY` and the like are not read);
a base URL names what is connected to. TLS trusts what the system trusts, or `SSL_CERT_FILE` where it is set.

    client      a request, over a connection that is free or a new one
    pool        which connections there are, and which are free
    connection  one socket: answers out of bytes, time-outs, back-pressure
    reply       the buffer between a connection and its reader
    head        method, URL and headers to bytes
    deadline    a timer that is cheap to move
"""

from catena.upstream.http.client import HttpClient
from catena.upstream.http.connection import Timeouts
from catena.upstream.http.reply import HttpError, Reply

__all__ = ["HttpClient", "HttpError", "Reply", "Timeouts"]
