"""A server that echoes our requests in every text field of its responses."""

from __future__ import annotations

import base64
import json

from verifywise_mlflow_tests.http.hostile_server import HostileServer, ReceivedRequest, make_response


def echoing(issued_token: str) -> object:
    """Return a script for a hostile server. The first part of the path selects how it echoes."""

    def script(_server: HostileServer, asked: ReceivedRequest) -> bytes:
        said = _said(asked)
        in_a_line = " ".join(said.split())
        if asked.target.startswith("http://"):  # it acts as a proxy
            return make_response(said, 407).replace(b"Whatever", in_a_line.encode())
        match asked.target.split("?")[0].split("/")[1]:
            case "granting":
                return make_response(json.dumps({"access_token": issued_token, "token_type": "Bearer"}))
            case "issuing":
                return make_response(json.dumps({"error": "invalid_client", "error_description": said}), 401)
            case "refusing":
                return make_response(json.dumps({"error_code": "UNAUTHENTICATED", "message": said}), 401)
            case "naming":
                return make_response(json.dumps({"error_code": in_a_line, "message": said}), 400)
            case "forbidding":
                return make_response(f"<html>{said}</html>", 403, "text/html")
            case "misled":
                return make_response(f"<html>{said}</html>", 200, in_a_line)
            case "tripping":
                return make_response(said, 500, "text/plain", {"Retry-After": "0", "X-Said": in_a_line})
            case _:  # a store
                return make_response(f"<Error><Code>SignatureDoesNotMatch</Code><Message>{said}</Message></Error>", 403)

    return script


def _said(asked: ReceivedRequest) -> str:
    """Credentials come first, since excerpts are short. Basic authentication is also decoded."""
    values = sorted(asked.headers.items(), key=lambda header: header[0] not in {"authorization", "proxy-authorization"})
    unwrapped = [base64.b64decode(value[6:]).decode() for _, value in values if value.startswith("Basic ")]
    return "\n".join([*unwrapped, *(value for _, value in values), asked.body.decode(), asked.target])


def heard(server: HostileServer) -> bytes:
    """Return everything that the server received."""
    return "\n".join(_said(asked) for asked in server.requests).encode()
