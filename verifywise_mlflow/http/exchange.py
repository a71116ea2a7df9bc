"""One HTTP exchange: send a request once, read the response's body within a deadline, release the connection.

The caller is responsible for retries, credentials and the meaning of a response. Messages name the server and the
target that the caller states. They never contain a URL, since a URL may contain a signature.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import urllib3
from urllib3 import PoolManager
from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.http.connection_failures import failure_reason
from verifywise_mlflow.http.deadlines import set_deadline
from verifywise_mlflow.http.errors import HttpError, ResponseTimeoutError, UnreachableError
from verifywise_mlflow.http.request_auth import Request
from verifywise_mlflow.http.transmission import observe_transmission

_CHUNK_BYTES = 256 * 1024


def send(
    pool: PoolManager, request: Request, *, connect_timeout: float, read_timeout: float, server: str, target: str = ""
) -> BaseHTTPResponse:
    """Send a request once, without following redirects; return the response, of any status. The caller releases it.

    Raises:
        HttpError: there is no response. ``was_sent`` states whether the server may have received the request.
    """
    with observe_transmission() as transmission:
        try:
            return pool.urlopen(
                request.method,
                request.url,
                body=request.body,
                headers=request.headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=connect_timeout, read=read_timeout),
            )
        except urllib3.exceptions.HTTPError as error:
            target_phrase = f" to {target}" if target else ""
            failure: HttpError = UnreachableError(f"{server} did not respond{target_phrase}: {failure_reason(error)}")
        except OSError as error:
            failure = UnreachableError(f"{server} cannot be reached: {error.strerror or error}")
        except HttpError as error:  # raised by the SSRF guard or the tenant's proxy
            failure = error
    failure.was_sent = transmission.has_begun
    raise failure


def release(response: BaseHTTPResponse) -> None:
    """Give a response's connection back to the pool, even if the body was not read to its end."""
    response.close()
    # close() alone does not return the connection to the pool unless the response was read to its end.
    response.release_conn()


def iter_body(
    response: BaseHTTPResponse, *, timeout: float, server: str, decompress: bool, timeout_setting: str | None = None
) -> Iterator[bytes]:
    """Yield a response's body in chunks.

    Args:
        response: The response.
        timeout: The seconds that the response may take, from the wait for its headers to its last byte.
        server: The server's name in messages.
        decompress: Whether to undo the content encoding.
        timeout_setting: The setting that ``timeout`` comes from, for messages.

    Raises:
        HttpError: the body took longer, or broke off.
    """
    deadline = set_deadline(response, timeout)
    setting = f" ({timeout_setting})" if timeout_setting else ""
    timed_out = ResponseTimeoutError(
        f"{server} took longer for a response than the {timeout:g} seconds allowed here{setting}"
    )
    try:
        for chunk in response.stream(_CHUNK_BYTES, decode_content=decompress):
            if time.monotonic() > deadline:
                raise timed_out
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        if time.monotonic() >= deadline:
            raise timed_out from None
        raise UnreachableError(f"{server} broke off its response: {failure_reason(error)}") from None


def take_bytes(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the first ``max_bytes`` bytes of the chunks, without requesting a further chunk."""
    bytes_left = max_bytes
    for chunk in chunks:
        yield chunk[:bytes_left]
        bytes_left -= len(chunk)
        if bytes_left <= 0:
            return
