"""What comes out of the sandbox is as little trusted as what went in: it is taken only where it has the right shape.

A parser that was taken over can still lie about the file it read. It cannot name files it was not given, contradict
itself, or hand on more than the parsers' own bounds allow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pydantic import TypeAdapter, ValidationError

from verifywise_mlflow.artifacts.environment.environment_file import MAX_PACKAGES
from verifywise_mlflow.artifacts.environment.mlmodel import MAX_FLAVORS, SIGNATURE_PARTS
from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES
from verifywise_mlflow.artifacts.environment.requirements import MAX_LINE
from verifywise_mlflow.artifacts.hashing import HashedBytes
from verifywise_mlflow.artifacts.manifest import ModelSignature, RuntimeEnvironment
from verifywise_mlflow.artifacts.walk import MAX_PROBLEMS

MAX_HASH_ANSWER = 100
"""Bytes: a size, a blank and 64 hexadecimal digits."""
MAX_DIFFERENCES = 100
MAX_TEXT = 2 * MAX_LINE
"""Characters of any one text. None of ours is longer than a line of requirements and a sentence around it."""

_HASH = re.compile(rb"([0-9]{1,20}) ([0-9a-f]{64})")
_ENVIRONMENT = TypeAdapter(RuntimeEnvironment)
_SIGNATURE = TypeAdapter(ModelSignature)


class SenselessAnswerError(ValueError):
    """An answer that no honest process gives."""


def hash_in(answer: bytes, sent: int) -> HashedBytes:
    """Take the hash of the ``sent`` bytes.

    Raises:
        SenselessAnswerError: it is none, or of another number of bytes.
    """
    match = _HASH.fullmatch(answer)
    if match is None or int(match[1]) != sent:
        raise SenselessAnswerError
    return HashedBytes(sent, match[2].decode())


def environment_in(answer: bytes, given: Collection[str]) -> RuntimeEnvironment:
    """Take what the files of the ``given`` names say.

    Raises:
        SenselessAnswerError: it is no environment, or not one of these files.
    """
    try:
        environment = _ENVIRONMENT.validate_json(answer, strict=True)
    except ValidationError as error:
        raise SenselessAnswerError from error  # without its text, which quotes the answer
    sources = set(environment.sources)
    if (
        not sources <= set(given) & set(ENVIRONMENT_FILES)
        or not {package.source for package in environment.packages} <= sources
        or environment.reproducible != (not environment.missing_pins)
        or len(environment.packages) > MAX_PACKAGES * len(sources)
        or len(environment.flavors) > MAX_FLAVORS
        or not set(environment.signature or ()) <= set(SIGNATURE_PARTS)
        or len(environment.signature or ()) > len(SIGNATURE_PARTS)
        or len(environment.problems) > MAX_PROBLEMS + 1
        or any(len(text) > MAX_TEXT for text in _texts(environment))
    ):
        raise SenselessAnswerError
    return environment


def signature_in(answer: bytes, path: str) -> ModelSignature:
    """Take what the signature at a path is worth.

    Raises:
        SenselessAnswerError: it is no such thing, or of another path.
    """
    try:
        signature = _SIGNATURE.validate_json(answer, strict=True)
    except ValidationError as error:
        raise SenselessAnswerError from error  # without its text, which quotes the answer
    if (
        signature.path != path
        or len(signature.differences) > MAX_DIFFERENCES
        or (signature.status == "valid" and (signature.signer is None or signature.difference_count))
    ):
        raise SenselessAnswerError
    return signature


def _texts(environment: RuntimeEnvironment) -> Iterator[str]:
    single = (environment.python_version, environment.mlflow_version, environment.serialization_format)
    yield from (text for text in (*single, *environment.flavors.values()) if text is not None)
    yield from (*environment.flavors, *environment.missing_pins, *environment.problems)
    for package in environment.packages:
        yield package.name
        yield package.specifier
