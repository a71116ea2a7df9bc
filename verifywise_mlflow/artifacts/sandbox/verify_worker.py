"""The program of the process that verifies signatures: bundles are as untrusted as any file beside them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime

from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustedKeys
from verifywise_mlflow.artifacts.model_signing.verification import SignatureCheck, verify
from verifywise_mlflow.artifacts.model_signing.warm_up import rehearse
from verifywise_mlflow.artifacts.sandbox import frames
from verifywise_mlflow.artifacts.sandbox.channel import Abandoned, Channel
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_in
from verifywise_mlflow.artifacts.sandbox.question import Question


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Verify one bundle after another, until the input ends."""
    rehearse()
    datetime.fromtimestamp(0, UTC)
    channel = Channel()
    channel.say_ready(lock_in(memory_bytes, cpu_seconds))
    while True:
        try:
            question, bundle = _asked(channel)
            channel.answer(json.dumps(asdict(_verified(question, bundle))).encode())
        except Abandoned:
            continue
        except MemoryError:
            os._exit(frames.OUT_OF_MEMORY)


def _verified(question: Question, bundle: bytes) -> ModelSignature:
    trusted = TrustedKeys.from_pem(
        [key.encode() for key in question.public_keys], [one.encode() for one in question.authorities]
    )
    is_inside = not question.path.startswith("../")
    now = datetime.fromtimestamp(question.now, UTC)
    check = verify(bundle, question.files, trusted, now, signature_path=question.path if is_inside else None)
    return ModelSignature(
        path=question.path,
        status=check.status,
        reason=check.reason,
        signer=_signer(check),
        signed_count=check.signed_count,
        differences=tuple(f"{difference.path} ({difference.kind})" for difference in check.differences),
        difference_count=check.difference_count,
        left_out_count=check.left_out_count,
    )


def _signer(check: SignatureCheck) -> str | None:
    if check.signer is None:
        return None
    subject = f" {check.signer.subject}" if check.signer.subject else ""
    return f"{check.signer.method} sha256:{check.signer.fingerprint}{subject}"


def _asked(channel: Channel) -> tuple[Question, bytes]:
    parts = [bytearray(), bytearray()]
    current = parts[0]
    while True:
        kind, payload = channel.receive()
        if kind == frames.END:
            return Question(**json.loads(bytes(parts[0]))), bytes(parts[1])
        if kind == frames.DATA:
            current += payload
        elif kind == frames.FILE:
            current = parts[1]
