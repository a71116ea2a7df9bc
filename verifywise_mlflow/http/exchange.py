"""One request and its answer, within bounds: what tracking servers and artifact stores are asked by.

Whom to ask, by which rules to ask again and what an answer means is for those who call. Messages name the host and
what they are given to name, never a URL, since one may hold a signature.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import urllib3
from urllib3 import PoolManager
from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.http.auth import Outgoing
from verifywise_mlflow.http.connection_failures import reason
from verifywise_mlflow.http.deadlines import allow
from verifywise_mlflow.http.errors import TooSlowError, UnreachableError

TEXT_BYTES = 64 * 1024
"""The most that is read of an answer that is a sentence, such as an error."""
_CHUNK_BYTES = 256 * 1024


def send(
    pool: PoolManager, request: Outgoing, *, connect_seconds: float, read_seconds: float, host: str, asked: str = ""
) -> BaseHTTPResponse:
    """Send a request, once, and follow no redirect; return the answer, of whatever status, to be given back.

    Raises:
        ConnectorError: there is none.
    """
    try:
        return pool.urlopen(
            request.method,
            request.url,
            body=request.body,
            headers=request.headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=connect_seconds, read=read_seconds),
        )
    except urllib3.exceptions.HTTPError as error:
        raise UnreachableError(f"{host} did not answer{f' {asked}' if asked else ''}: {reason(error)}") from None
    except OSError as error:
        raise UnreachableError(f"{host} could not be reached: {error.strerror or error}") from None


def give_back(response: BaseHTTPResponse) -> None:
    """Be done with an answer, however much of it was read."""
    response.close()
    # Closing alone does not give an answer's place in the pool back unless it was read to its end.
    response.release_conn()


def body_of(
    response: BaseHTTPResponse, *, seconds: float, host: str, is_unpacked: bool, setting: str | None = None
) -> Iterator[bytes]:
    """Yield an answer's body in chunks.

    Args:
        response: The answer.
        seconds: How long it may take, from its first byte to its last.
        host: Whose answer it is, for messages.
        is_unpacked: Whether what was compressed on the way is wanted as it was before.
        setting: What these seconds are called in the tenant's settings, if they are.

    Raises:
        ConnectorError: it took longer, or broke off.
    """
    deadline = allow(response, seconds)
    allowed = f"the {seconds:g} seconds allowed here" + (f" ({setting})" if setting else "")
    too_slow = TooSlowError(f"{host} took longer for an answer than {allowed}")
    try:
        for chunk in response.stream(_CHUNK_BYTES, decode_content=is_unpacked):
            if time.monotonic() > deadline:
                raise too_slow
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        if time.monotonic() >= deadline:
            raise too_slow from None
        raise UnreachableError(f"{host} broke off its answer: {reason(error)}") from None


def first(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the first bytes of some chunks, and ask for no chunk beyond them."""
    left = max_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
