"""The worker that verifies model signatures in the sandbox: a signature bundle is as untrusted as any other file."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from verifywise_mlflow.artifacts.model_signing.bundle import CertificateMaterial, parse_bundle
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import to_model_signature, verify_signature
from verifywise_mlflow.artifacts.model_signing.warm_up import warm_up
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.protocol import (
    SignatureEvidence,
    SignatureRequest,
    SignatureResponse,
    WorkerChannel,
)
from verifywise_mlflow.artifacts.sandbox.worker_loop import serve


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Verify one bundle after another until the input ends."""
    warm_up()
    datetime.fromtimestamp(0, UTC)
    serve(lambda channel: _verify(*_receive_request(channel)), memory_bytes, cpu_seconds)


def _verify(request: SignatureRequest, bundle: bytes) -> SignatureResponse:
    trusted = TrustStore.from_pem(
        [key.encode() for key in request.public_keys], [authority.encode() for authority in request.authorities]
    )
    is_inside = not request.path.startswith("../")
    now = datetime.fromtimestamp(request.now, UTC)
    check = verify_signature(bundle, request.files, trusted, now, signature_path=request.path if is_inside else None)
    evidence = _evidence(bundle) if check.status == "valid" else None
    return SignatureResponse(to_model_signature(request.path, check), evidence)


def _evidence(content: bytes) -> SignatureEvidence:
    bundle = parse_bundle(content)
    certificates = bundle.material.certificates if isinstance(bundle.material, CertificateMaterial) else ()
    return SignatureEvidence(_base64(bundle.payload), _base64(bundle.signature), tuple(map(_base64, certificates)))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


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
