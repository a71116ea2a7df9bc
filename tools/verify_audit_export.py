"""Verifies an export by `verifywise-mlflow audit export` offline. Needs Python 3.9, and `cryptography` for signatures.

Exit code 0: no damage. With --public-key: signed, too, and a statement from outside covers every entry up to the last
one (or up to --through), so that none is missing. 1: damaged, or no signature vouches for it. 2: the input cannot be
read. 4: no damage, but not all of this is proved."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path


def require(condition, problem):
    return condition or sys.exit(f"DAMAGED at {place}: {problem}")


def refuse(problem):
    sys.exit(print(f"cannot be verified: {problem}", file=sys.stderr) or 2)


def trust(pem):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    key = load_pem_public_key(pem)
    key_id = "sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    keys[key_id] = key
    replaced.pop(key_id, None)


def verified_claim(checkpoint):
    claim = json.loads(checkpoint["checkpoint"])
    require(claim["format"] == "verifywise audit checkpoint 1", "this is not a checkpoint of an audit trail")
    if keys:
        key_id, at = claim["key_id"], claim["sequence"]
        require(key_id in keys, f"it names the key {key_id}, which was not supplied and for which no other key vouches")
        require(at <= replaced.get(key_id, at), f"it is of the key {key_id}, which an earlier entry replaced")
        keys[key_id].verify(bytes.fromhex(checkpoint["signature"]), checkpoint["checkpoint"].encode())
        if "next_key" in claim:  # the holder of this key vouches for the one that signs from here on
            replaced[key_id] = at
            trust(claim["next_key"].encode())
    return claim


def compare(claim, at, entry_hash):
    source = f"signed at {claim['signed_at']}" if "signed_at" in claim else "that --head states"
    problem = f"entry {claim['sequence']} of {claim['tenant_id']!r} is missing, or is not the one {source}"
    require((claim["tenant_id"], claim["sequence"], claim["entry_hash"]) == (tenant, at, entry_hash), problem)


parser = ArgumentParser(description=__doc__)
parser.add_argument("export", type=Path)
parser.add_argument("--tenant", help="whose trail it must be")
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="checkpoints stored elsewhere")
parser.add_argument("--head", metavar="SEQUENCE:HASH", help="an entry's hash that was recorded elsewhere")
parser.add_argument("--through", type=int, metavar="SEQUENCE", help="the last entry that you ask about")
arguments = parser.parse_args()
sequence, previous, tenant, matching, signed, witnessed = 0, "", arguments.tenant, 0, 0, 0
keys, replaced, hashes, texts, last_signed_at = {}, {}, {}, set(), "(never)"
try:
    for path in arguments.public_key:
        trust(path.read_bytes())
    lines = [line for path in arguments.checkpoint for line in path.read_text().splitlines() if line.strip()]
    external = {json.loads(line)["checkpoint"]: json.loads(line) for line in lines}  # each one once
    head = arguments.head and (int(arguments.head.split(":")[0]), arguments.head.split(":")[1])
    stated = {json.loads(text)["sequence"] for text in external} | ({head[0]} if head else set())
    export = arguments.export.open("rb")
except (ImportError, OSError, ValueError, LookupError, TypeError) as error:
    refuse(f"{type(error).__name__} {error}")
try:
    for number, line in enumerate(export, 1):
        place = f"line {number}"
        if b"\r" in line or line[:2] in (b"\xef\xbb", b"\xff\xfe", b"\xfe\xff"):
            problem = f"{place} has other line endings (CR LF) or another encoding than in the export"
            refuse(f"{problem}: copy the file again as it is, as binary, without autocrlf or PowerShell's >")
        entry = json.loads(line)
        if "checkpoint" in entry:
            claim = verified_claim(entry)
            compare(claim, sequence, previous)
            matching += entry["checkpoint"] not in texts and entry["checkpoint"] not in external
            texts.add(entry["checkpoint"])
            signed, last_signed_at = sequence, claim["signed_at"]
            continue
        tenant, sequence, texts = tenant or entry["tenant_id"], sequence + 1, set()
        require(entry["tenant_id"] == tenant, f"it is of the tenant {entry['tenant_id']!r}, not of {tenant!r}")
        is_linked = (entry["sequence"], entry["previous_hash"]) == (sequence, previous)
        require(is_linked, f"this is not entry {sequence}, or the hash of the entry before it does not match")
        previous = sha256(line.rstrip(b"\n")).hexdigest()
        if sequence in stated:
            hashes[sequence] = previous
    place = "the end"
    require(sequence, "the export has no entry")
    place = "a checkpoint or head from outside"
    claims = [{"tenant_id": tenant, "sequence": head[0], "entry_hash": head[1]}] if head else []
    # Only now, since the export has shown which keys vouch for which; by entry, since those from outside may, too.
    claims += map(
        verified_claim, sorted(external.values(), key=lambda item: json.loads(item["checkpoint"])["sequence"])
    )
    for claim in claims:
        compare(claim, claim["sequence"], hashes.get(claim["sequence"]))
        witnessed = max(witnessed, claim["sequence"])
        if "signed_at" in claim and claim["sequence"] >= signed:
            signed, last_signed_at = claim["sequence"], claim["signed_at"]
except Exception as error:
    reasons = {"KeyError": f"it has no {error}", "JSONDecodeError": "it is not JSON", "TypeError": "it is not an entry"}
    reasons["InvalidSignature"] = "its signature was not made by the key that it names"
    require(False, reasons.get(type(error).__name__, f"{type(error).__name__} {error}"))
print(f"{tenant!r}: {sequence} entries in one unbroken chain that ends with {previous}")
print(
    f"{matching + len(external)} checkpoints match, the last at entry {signed}; {sequence - signed} entries follow it"
)
print(f"signatures {'' if keys else 'NOT '}verified")
if keys and not signed:
    sys.exit("FAILED: no signature vouches for this trail")
if witnessed < (arguments.through or sequence):
    print(f"NOT proved: entries after {signed or sequence}, if others ever existed, would not be missed.")
    print(f"Compare with a checkpoint stored elsewhere, newer than {last_signed_at}, or with a head: see --help")
    sys.exit(4 if keys or arguments.through else 0)
