"""Validates worker responses. A response is as untrusted as the file, so only well-formed responses are accepted.

A compromised parser can still lie about the file it read. It cannot name files that it was not sent, contradict itself,
or return more than the parsers' own limits allow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pydantic import TypeAdapter, ValidationError

from verifywise_mlflow.artifacts.environment.environment_file import MAX_PACKAGES
from verifywise_mlflow.artifacts.environment.mlmodel import MAX_FLAVORS, MAX_PROMPTS, SIGNATURE_PARTS
from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES
from verifywise_mlflow.artifacts.environment.requirements import MAX_LINE_CHARS
from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment
from verifywise_mlflow.artifacts.problem_list import MAX_PROBLEMS
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureResponse

MAX_SIGNATURE_RESPONSE_BYTES = 20 * 1024**2
"""The longest response: a bundle of 16 MiB, and the result."""
MAX_DIFFERENCES = 100
MAX_TEXT_CHARS = 2 * MAX_LINE_CHARS
"""The maximum number of characters of a text. The longest text of our parsers is a requirement within a sentence, or a
path."""

_ENVIRONMENT = TypeAdapter(RuntimeEnvironment)
_SIGNATURE = TypeAdapter(SignatureResponse)


class InvalidWorkerResponseError(ValueError):
    """A response that only a compromised worker sends."""


def validate_environment(response: bytes, sent_files: Collection[str]) -> RuntimeEnvironment:
    """Return the environment that a response contains; the request had the files with these names.

    Raises:
        InvalidWorkerResponseError: The response is not an environment, contradicts itself, exceeds a limit of our
            parsers, or is about other files.
    """
    try:
        environment = _ENVIRONMENT.validate_json(response, strict=True)
    except ValidationError as error:
        raise InvalidWorkerResponseError from error  # the text of `error` would quote the response
    sources = set(environment.sources)
    if (
        not sources <= set(sent_files) & set(ENVIRONMENT_FILES)
        or not {package.source for package in environment.packages} <= sources
        or environment.reproducible != (not environment.missing_pins)
        or len(environment.packages) > MAX_PACKAGES * len(sources)
        or len(environment.flavors) > MAX_FLAVORS
        or len(environment.tasks) > MAX_FLAVORS + 1
        or len(environment.prompts) > MAX_PROMPTS
        or not set(environment.signature or ()) <= set(SIGNATURE_PARTS)
        or len(environment.signature or ()) > len(SIGNATURE_PARTS)
        or len(environment.problems) > MAX_PROBLEMS + 1
        or any(len(text) > MAX_TEXT_CHARS for text in _texts(environment))
    ):
        raise InvalidWorkerResponseError
    return environment


def validate_signature(response: bytes, path: str) -> SignatureResponse:
    """Return the verification result for the signature at ``path``. The caller must confirm the status ``valid``.

    Raises:
        InvalidWorkerResponseError: The response is not such a result, contradicts itself, exceeds a limit of our
            parsers, or is about another path.
    """
    try:
        returned = _SIGNATURE.validate_json(response, strict=True)
    except ValidationError as error:
        raise InvalidWorkerResponseError from error  # the text of `error` would quote the response
    signature = returned.signature
    if (
        signature.path != path
        or len(signature.differences) > MAX_DIFFERENCES
        or any(
            len(text) > MAX_TEXT_CHARS
            for text in (signature.reason or "", signature.signer or "", *signature.differences)
        )
        or (signature.status == "valid" and (signature.signer is None or signature.difference_count))
        or (signature.status == "valid") != (returned.evidence is not None)
    ):
        raise InvalidWorkerResponseError
    return returned


def _texts(environment: RuntimeEnvironment) -> Iterator[str]:
    single = (environment.python_version, environment.mlflow_version, environment.serialization_format)
    yield from (text for text in (*single, *environment.flavors.values()) if text is not None)
    yield from (*environment.tasks, *environment.prompts)
    yield from (*environment.flavors, *environment.missing_pins, *environment.problems)
    for package in environment.packages:
        yield package.name
        yield package.specifier
