"""A server that echoes our requests in every text field of its responses."""

from __future__ import annotations

import base64
import json

from verifywise_mlflow_tests.http.hostile_server import HostileServer, ReceivedRequest, make_response


def echoing(issued_token: str) -> object:
    """Return a script for a hostile server. The first part of the path selects how it echoes."""

    def script(_server: HostileServer, request: ReceivedRequest) -> bytes:
        description = _describe(request)
        in_a_line = " ".join(description.split())
        if request.target.startswith("http://"):  # it acts as a proxy
            return make_response(description, 407).replace(b"Whatever", in_a_line.encode())
        match request.target.split("?")[0].split("/")[1]:
            case "granting":
                return make_response(json.dumps({"access_token": issued_token, "token_type": "Bearer"}))
            case "issuing":
                return make_response(json.dumps({"error": "invalid_client", "error_description": description}), 401)
            case "refusing":
                return make_response(json.dumps({"error_code": "UNAUTHENTICATED", "message": description}), 401)
            case "naming":
                return make_response(json.dumps({"error_code": in_a_line, "message": description}), 400)
            case "forbidding":
                return make_response(f"<html>{description}</html>", 403, "text/html")
            case "misled":
                return make_response(f"<html>{description}</html>", 200, in_a_line)
            case "tripping":
                return make_response(description, 500, "text/plain", {"Retry-After": "0", "X-Said": in_a_line})
            case _:  # a store
                return make_response(
                    f"<Error><Code>SignatureDoesNotMatch</Code><Message>{description}</Message></Error>", 403
                )

    return script


def _describe(request: ReceivedRequest) -> str:
    """Credentials come first, since excerpts are short. Basic authentication is also decoded."""
    values = sorted(
        request.headers.items(), key=lambda header: header[0] not in {"authorization", "proxy-authorization"}
    )
    unwrapped = [base64.b64decode(value[6:]).decode() for _, value in values if value.startswith("Basic ")]
    return "\n".join([*unwrapped, *(value for _, value in values), request.body.decode(), request.target])


def received_data(server: HostileServer) -> bytes:
    """Return everything that the server received."""
    return "\n".join(_describe(request) for request in server.requests).encode()
