"""Verifies what `verifywise-mlflow audit export` wrote, offline. Needs Python 3.9, and for signatures `cryptography`.
Exit code 0: whole. 1: damaged, with the first line that does not fit. 2: it could not be judged."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path


def must(fits, otherwise):
    return fits or sys.exit(f"DAMAGED at line {line_number}: {otherwise}")


def judged(line):
    told = json.loads(line["checkpoint"])
    must(told["format"] == "verifywise audit checkpoint 1", "this is no checkpoint of a trail")
    if keys:
        must(told["key_id"] in keys, f"it names the key {told['key_id']}, which is none of those given")
        keys[told["key_id"]].verify(bytes.fromhex(line["signature"]), line["checkpoint"].encode())
    return told


parser = ArgumentParser(description=__doc__)
parser.add_argument("export", type=Path)
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="one that was kept elsewhere")
arguments = parser.parse_args()
line_number, sequence, previous, tenant, agreeing, signed, keys = 0, 0, "", None, 0, 0, {}
try:
    for path in arguments.public_key:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        key = load_pem_public_key(path.read_bytes())
        keys["sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()] = key
    kept = [json.loads(line) for path in arguments.checkpoint for line in path.read_text().splitlines() if line.strip()]
    export = arguments.export.open(encoding="utf-8", newline="\n")
except (ImportError, OSError, ValueError) as error:
    sys.exit(print(f"cannot be judged: {error}", file=sys.stderr) or 2)
try:
    elsewhere = [judged(told) for told in kept]
    for line_number, line in enumerate(export, 1):
        told = json.loads(line)
        beside = [judged(told)] if "checkpoint" in told else []
        if not beside:
            tenant, sequence = tenant or told["tenant_id"], sequence + 1
            stands = (told["tenant_id"], told["sequence"], told["previous_hash"]) == (tenant, sequence, previous)
            must(stands, f"this is not entry {sequence}, or the one before it is not the one that it was linked to")
            previous = sha256(line.rstrip("\n").encode()).hexdigest()
            beside = [one for one in elsewhere if one["sequence"] == sequence]
        for one in beside:
            agrees = (one["tenant_id"], one["sequence"], one["entry_hash"]) == (tenant, sequence, previous)
            must(agrees, f"entry {one['sequence']} is missing, or is not the one signed at {one['signed_at']}")
            agreeing, signed = agreeing + 1, sequence
    is_cut = any(one["sequence"] > sequence for one in elsewhere)
    must(not is_cut, f"entries after {sequence} are cut off: see --checkpoint")
    must(sequence, "there is not one entry")
except Exception as error:
    reasons = {"KeyError": f"it has no {error}", "JSONDecodeError": "it is not JSON", "TypeError": "it is no entry"}
    reasons["InvalidSignature"] = "its signature is not of the key that it names"
    must(False, reasons.get(type(error).__name__, f"{type(error).__name__} {error}"))
print(f"{tenant!r}: {sequence} entries in one unbroken chain that ends with {previous}")
print(f"{agreeing} checkpoints agree, the last at entry {signed}; signatures {'judged' if keys else 'NOT judged'}")
