"""A server that says back to us whatever we send, wherever an answer has room for words."""

from __future__ import annotations

import base64
import json

from verifywise_mlflow_tests.http.hostile_server import Asked, HostileServer, answer


def echoing(issued_token: str) -> object:
    """Return a script for a hostile server; the first part of the path says in which way it echoes."""

    def script(_server: HostileServer, asked: Asked) -> bytes:
        said = _said(asked)
        in_a_line = " ".join(said.split())
        if asked.target.startswith("http://"):  # it is asked as a proxy
            return answer(said, 407).replace(b"Whatever", in_a_line.encode())
        match asked.target.split("?")[0].split("/")[1]:
            case "granting":
                return answer(json.dumps({"access_token": issued_token, "token_type": "Bearer"}))
            case "issuing":
                return answer(json.dumps({"error": "invalid_client", "error_description": said}), 401)
            case "refusing":
                return answer(json.dumps({"error_code": "UNAUTHENTICATED", "message": said}), 401)
            case "naming":
                return answer(json.dumps({"error_code": in_a_line, "message": said}), 400)
            case "forbidding":
                return answer(f"<html>{said}</html>", 403, "text/html")
            case "misled":
                return answer(f"<html>{said}</html>", 200, in_a_line)
            case "tripping":
                return answer(said, 500, "text/plain", {"Retry-After": "0", "X-Said": in_a_line})
            case _:  # a store
                return answer(f"<Error><Code>SignatureDoesNotMatch</Code><Message>{said}</Message></Error>", 403)

    return script


def _said(asked: Asked) -> str:
    """The credentials first, since excerpts are short; what basic authentication wraps is unwrapped, too."""
    values = sorted(asked.headers.items(), key=lambda header: header[0] not in {"authorization", "proxy-authorization"})
    unwrapped = [base64.b64decode(value[6:]).decode() for _, value in values if value.startswith("Basic ")]
    return "\n".join([*unwrapped, *(value for _, value in values), asked.body.decode(), asked.target])


def heard(server: HostileServer) -> bytes:
    """Return all that it was sent."""
    return "\n".join(_said(asked) for asked in server.asked).encode()
