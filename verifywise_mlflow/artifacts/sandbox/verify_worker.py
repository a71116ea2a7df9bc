"""The worker that verifies model signatures. Bundles are as untrusted as any other file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime

from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import SignatureCheck, verify_signature
from verifywise_mlflow.artifacts.model_signing.warm_up import warm_up
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_down
from verifywise_mlflow.artifacts.sandbox.protocol import RequestCanceled, SignatureRequest, WorkerChannel


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Verify one bundle after another until the input ends."""
    warm_up()
    datetime.fromtimestamp(0, UTC)
    channel = WorkerChannel()
    channel.send_ready(lock_down(memory_bytes, cpu_seconds))
    while True:
        try:
            request, bundle = _receive_request(channel)
            channel.send_response(json.dumps(asdict(_verify(request, bundle))).encode())
        except RequestCanceled:
            continue
        except MemoryError:
            os._exit(protocol.OUT_OF_MEMORY_EXIT_STATUS)


def _verify(request: SignatureRequest, bundle: bytes) -> ModelSignature:
    trusted = TrustStore.from_pem(
        [key.encode() for key in request.public_keys], [authority.encode() for authority in request.authorities]
    )
    is_inside = not request.path.startswith("../")
    now = datetime.fromtimestamp(request.now, UTC)
    check = verify_signature(bundle, request.files, trusted, now, signature_path=request.path if is_inside else None)
    return ModelSignature(
        path=request.path,
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


def _receive_request(channel: WorkerChannel) -> tuple[SignatureRequest, bytes]:
    parts = [bytearray(), bytearray()]
    current = parts[0]
    while True:
        kind, payload = channel.receive_frame()
        if kind == protocol.END:
            return SignatureRequest(**json.loads(bytes(parts[0]))), bytes(parts[1])
        if kind == protocol.DATA:
            current += payload
        elif kind == protocol.FILE:
            current = parts[1]
