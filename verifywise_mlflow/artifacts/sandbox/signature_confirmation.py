"""Confirms a sandboxed process's verdict in our own process: a signature is valid only for a signer trusted here.

A bundle that takes over the worker can make the worker return anything, so the worker's verdict alone is not evidence.
The signature in the bundle is evidence: only the holder of a trusted key can have signed the payload.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.model_signing.bundle import Bundle, CertificateMaterial, KeyMaterial
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import confirm_signature, to_model_signature
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureEvidence, SignatureRequest, SignatureResponse

_UNCONFIRMED = "the sandbox found it valid, but it is not by a signer whom the tenant trusts over these files"


def confirmed_signature(request: SignatureRequest, response: SignatureResponse) -> ModelSignature:
    """Return the result of a worker; ``not verified`` in place of ``valid`` if the evidence does not confirm it."""
    if response.evidence is None:
        return response.signature
    trusted = TrustStore.from_pem(
        [key.encode() for key in request.public_keys], [authority.encode() for authority in request.authorities]
    )
    try:
        bundle = _bundle(response.evidence)
    except (binascii.Error, ValueError):
        return _unconfirmed(request)
    is_inside = not request.path.startswith("../")
    check = confirm_signature(
        bundle,
        request.files,
        trusted,
        datetime.fromtimestamp(request.now, UTC),
        signature_path=request.path if is_inside else None,
    )
    return to_model_signature(request.path, check) if check.status == "valid" else _unconfirmed(request)


def _bundle(evidence: SignatureEvidence) -> Bundle:
    certificates = tuple(_decode(certificate) for certificate in evidence.certificates)
    material = CertificateMaterial(certificates) if certificates else KeyMaterial(hint=None, public_key=None)
    return Bundle(_decode(evidence.payload), _decode(evidence.signature), material)


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _unconfirmed(request: SignatureRequest) -> ModelSignature:
    return ModelSignature(request.path, "not verified", _UNCONFIRMED, None, None)
