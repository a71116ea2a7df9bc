"""Parses MLflow's responses: the JSON object of a successful response, or the typed error for another status.

Server text in an error message is short and escaped.
"""

from __future__ import annotations

import json
import re

import orjson

from verifywise_mlflow.connector import json_structure
from verifywise_mlflow.connector.endpoints import ARTIFACT_PATH
from verifywise_mlflow.connector.errors import ArtifactStoreError, EndpointNotFoundError
from verifywise_mlflow.http.credential_echo import echoes_credentials
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    HttpError,
    InvalidResponseError,
    LimitExceededError,
)
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.status_errors import Remedies, error_of_status

MAX_LENIENT_BYTES = 4 * 1024**2
"""The largest response that the standard library parses after orjson has failed. The standard library takes four times
the memory."""


def parse_json_object(response: Response, *, max_values: int, max_depth: int) -> dict[str, object]:
    """Return the JSON object of a successful response. Its values and its nesting are counted before it is parsed.

    Raises:
        InvalidResponseError: the body is not a JSON object. It may be HTML, such as a login page with status 200, or be
            empty, which must not look like an empty registry.
        LimitExceededError: the body has more than ``max_values`` values, or is nested deeper than ``max_depth``.
    """
    target, body = response.target, response.body
    if not response.is_json:
        content_type = response.headers.get("Content-Type")
        kind = "no content type" if content_type is None else response.quote(content_type)
        raise InvalidResponseError(f"{target} responded with {kind}, not JSON: {response.quote(body)}")
    structure = json_structure.measure(body, max_values=max_values)
    if structure.values > max_values:
        raise LimitExceededError(
            f"{target} responded with JSON of more than the {max_values:,} values allowed here (max_values)"
        )
    if structure.depth > max_depth:
        raise LimitExceededError(
            f"{target} responded with JSON nested deeper than the {max_depth} levels allowed here (max_depth)"
        )
    try:
        value = _parse(body, target)
    except ValueError:
        raise InvalidResponseError(f"{target} responded with invalid JSON: {response.quote(body)}") from None
    if not isinstance(value, dict):
        raise InvalidResponseError(f"{target} responded with JSON that is not an object: {response.quote(body)}")
    return value


def _parse(body: bytes, target: str) -> object:
    try:
        # orjson is at least 1.5 times as fast as the standard library. Parsing is most of the cost of reading a run.
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson rejects lone surrogates and a bare NaN, and a single client can make a page contain them.
        if len(body) > MAX_LENIENT_BYTES:
            raise LimitExceededError(
                f"{target} responded with {len(body):,} bytes of JSON with NaN, a lone surrogate or an error in it. At "
                f"most {MAX_LENIENT_BYTES:,} bytes of such JSON are read"
            ) from None
        return json.loads(body)


_ERROR_CODE = re.compile(r"[A-Za-z][\w.]{0,99}", re.ASCII)
"""An error code such as ``RESOURCE_DOES_NOT_EXIST``. A text of another form is not shown as a code."""

_ENDPOINT_MISSING_CODES = frozenset(("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "METASTORE_DOES_NOT_EXIST"))
"""Databricks' error codes for an endpoint that it does not have. If they counted as missing objects, the records of a
whole registry could be deleted."""
_REMEDIES: Remedies = {
    401: "Check the tenant's auth: the server does not accept it.",
    403: "Grant the account READ, or the object does not exist.",
    407: "Check the tenant's proxy: it does not accept its credentials.",
    300: "Write the final address as the tracking URI.",
}


def error_from_response(response: Response, host: str) -> HttpError:
    """Return the error for a response with a status other than 200."""
    code, message = _mlflow_error(response)
    if code and echoes_credentials(code, response.auth_headers):
        code = None
    detail = f"{code}, {response.quote(message)}" if code else response.quote(response.body)
    error = _error(response, host, code, f"{response.target} responded with {response.status}: {detail}")
    error.code = code
    return error


def _error(response: Response, host: str, code: str | None, message: str) -> HttpError:
    match response.status:
        case 403 if b"Host header" in response.body:
            return ForbiddenError(f"{message}. Start the server with --allowed-hosts naming {host}.")
        case 404 if code in _ENDPOINT_MISSING_CODES:
            return EndpointNotFoundError(
                f"{message}. Check the tenant's server and registry: this server does not have the endpoint."
            )
        case 404 | 405 if code is None:  # 405: MLflow 3.3 serves the path of traces/metrics for another method only
            return EndpointNotFoundError(f"{message}. Check the tracking URI, above all its prefix.")
        case 500 if ARTIFACT_PATH.fullmatch(response.target):
            return ArtifactStoreError(f"{message}. The server could not read its artifact store.")
        case status:
            return error_of_status(status, response.headers, message, _REMEDIES)


def _mlflow_error(response: Response) -> tuple[str | None, str]:
    """Return MLflow's error code and message, if the response has the form of MLflow's errors."""
    if not response.is_json:
        return None, ""
    try:
        fields = json.loads(response.body)
    except (ValueError, RecursionError):  # an error's body has at most 64 KiB
        return None, ""
    if not isinstance(fields, dict) or not isinstance(fields.get("error_code"), str):
        return None, ""
    code, message = fields["error_code"], str(fields.get("message", ""))
    return (code, message) if _ERROR_CODE.fullmatch(code) else (None, message)
