"""urllib3's own log records carry no signature and no text of a server."""

from __future__ import annotations

import logging

import pytest

from verifywise_mlflow.http.client import HttpClient, ResponseLimit
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.request_auth import ReadRequest
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.support.hostile_server import hostile_server, respond_with

SIGNATURE = "sv=2022&sig=c2lnbmF0dXJlLW9mLWEtU0FT"
LIMIT = ResponseLimit(5, "request_timeout_seconds", 1_000)

RESPONSES = {
    "malformed headers": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX y sig=c2lnbmF0dXJlLW9m\r\n: sig=c2lnbmF0dXJlLW9m\r\n\r\n{}"
    ),
    "a malformed chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc2lnbmF0dXJlLW9m\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a status that is none": b"HTTP/1.1 c2lnbmF0dXJlLW9m\r\n\r\n",
    "an encoding that does not fit": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip, c2lnbmF0dXJlLW9m\r\n\r\n{}"
    ),
}


@pytest.mark.parametrize("case", RESPONSES)
def test_neither_a_log_record_nor_an_error_carries_a_signature(case: str, caplog: pytest.LogCaptureFixture) -> None:
    error = ""
    with hostile_server(respond_with(RESPONSES[case])) as server, caplog.at_level(logging.DEBUG, logger="urllib3"):
        settings = ConnectionSettings(server.uri, allow_private_network=True, limits=Limits(max_attempts=1))
        client = HttpClient(settings, lambda response: HttpError(str(response.status)), headers={}, decompress=True)
        try:
            client.fetch(ReadRequest("GET", f"{server.uri}/c/b?{SIGNATURE}"), LIMIT)
        except HttpError as failure:
            error = str(failure)

    records = "\n".join(record.getMessage() for record in caplog.records)
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}, "nothing was logged"
    assert "c2lnbmF0dXJl" not in records + caplog.text + error
