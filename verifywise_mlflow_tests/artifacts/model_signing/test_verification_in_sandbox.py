"""Verification in a locked-down process, which cannot import modules."""

from __future__ import annotations

import json
import subprocess
import sys

from verifywise_mlflow.artifacts.model_signing.warm_up import warm_up

INSIDE = """
import json, os
from verifywise_mlflow.artifacts.model_signing.warm_up import warm_up
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import verify_signature
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_down
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import BUNDLES, CURVES, NOW, bundle, hashes, pem

names = sorted(path.stem for path in BUNDLES.glob("*.sig"))
bundles, keys, authorities = [bundle(name) for name in names], [pem(f"key-{c}") for c in CURVES], [pem("authority")]
warm_up()
refused = lock_down(256 * 1024**2, 30).refused
trusted = TrustStore.from_pem(keys, authorities)
statuses = {name: verify_signature(content, hashes(), trusted, NOW, signature_path="model.sig").status
         for name, content in zip(names, bundles)}
for hostile in (b"", b"[" * 400_000, b"[" + b"{}," * 5_000_000, b'"' + b"a" * 16_000_000 + b'"', b"[1" + b"0" * 9_999):
    statuses.setdefault("hostile", set()).add(verify_signature(hostile, {}, trusted, NOW).status)
os.write(1, json.dumps([list(refused), {**statuses, "hostile": sorted(statuses["hostile"])}]).encode())
os._exit(0)  # a regular exit would import modules
"""


def test_the_warm_up_runs_each_kind_of_verification() -> None:
    assert warm_up() == ["valid", "valid", "untrusted", "not verified"]


def test_every_bundle_is_verified_after_the_lockdown_within_the_memory_limit() -> None:
    process = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, check=True, timeout=60)

    refused_steps, statuses = json.loads(process.stdout)
    assert refused_steps, "the process was free"
    assert statuses == {
        **dict.fromkeys(["key-p256", "key-p384", "key-p521", "certificate", "ignoring-notes"], "valid"),
        **dict.fromkeys(["blake2", "blake3", "shards", "single-file"], "not verified"),
        "hostile": ["not verified"],
    }
