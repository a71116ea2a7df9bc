"""Verifies an export by `verifywise-mlflow audit export` offline. Needs Python 3.9, and `cryptography` for signatures.
Exit code 0: intact. 1: damaged; the first invalid line is printed. 2: the input could not be read."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path


def require(condition, problem):
    return condition or sys.exit(f"DAMAGED at line {line_number}: {problem}")


def verified_claim(checkpoint):
    claim = json.loads(checkpoint["checkpoint"])
    require(claim["format"] == "verifywise audit checkpoint 1", "this is not a checkpoint of an audit trail")
    if keys:
        require(claim["key_id"] in keys, f"it names the key {claim['key_id']}, which was not supplied")
        keys[claim["key_id"]].verify(bytes.fromhex(checkpoint["signature"]), checkpoint["checkpoint"].encode())
    return claim


parser = ArgumentParser(description=__doc__)
parser.add_argument("export", type=Path)
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a checkpoint stored elsewhere")
arguments = parser.parse_args()
line_number, sequence, previous, tenant, matching, last_signed, keys = 0, 0, "", None, 0, 0, {}
try:
    for path in arguments.public_key:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        key = load_pem_public_key(path.read_bytes())
        keys["sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()] = key
    texts = [line for path in arguments.checkpoint for line in path.read_text().splitlines() if line.strip()]
    checkpoints = [json.loads(text) for text in texts]
    export = arguments.export.open(encoding="utf-8", newline="\n")
except (ImportError, OSError, ValueError) as error:
    sys.exit(print(f"cannot be verified: {error}", file=sys.stderr) or 2)
try:
    external = [verified_claim(checkpoint) for checkpoint in checkpoints]
    for line_number, line in enumerate(export, 1):
        entry = json.loads(line)
        claims = [verified_claim(entry)] if "checkpoint" in entry else []
        if not claims:
            tenant, sequence = tenant or entry["tenant_id"], sequence + 1
            is_linked = (entry["tenant_id"], entry["sequence"], entry["previous_hash"]) == (tenant, sequence, previous)
            require(is_linked, f"this is not entry {sequence}, or the hash of the entry before it does not match")
            previous = sha256(line.rstrip("\n").encode()).hexdigest()
            claims = [claim for claim in external if claim["sequence"] == sequence]
        for claim in claims:
            is_match = (claim["tenant_id"], claim["sequence"], claim["entry_hash"]) == (tenant, sequence, previous)
            require(is_match, f"entry {claim['sequence']} is missing, or is not the one signed at {claim['signed_at']}")
            matching, last_signed = matching + 1, sequence
    is_truncated = any(claim["sequence"] > sequence for claim in external)
    require(not is_truncated, f"entries after {sequence} are missing, according to --checkpoint")
    require(sequence, "the export has no entry")
except Exception as error:
    reasons = {"KeyError": f"it has no {error}", "JSONDecodeError": "it is not JSON", "TypeError": "it is not an entry"}
    reasons["InvalidSignature"] = "its signature was not made by the key that it names"
    require(False, reasons.get(type(error).__name__, f"{type(error).__name__} {error}"))
print(f"{tenant!r}: {sequence} entries in one unbroken chain that ends with {previous}")
print(f"{matching} checkpoints match, the last at entry {last_signed}; signatures {'' if keys else 'NOT '}verified")
