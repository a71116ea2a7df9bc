"""Verifies an export by `verifywise-mlflow audit export` offline. Needs Python 3.9, and `cryptography` for signatures.

Exit code 0: no damage. With --public-key: signed, too, and a statement from outside covers every entry up to the last
one (or up to --through), so that none is missing. 1: damaged, or no signature vouches for it. 2: the input cannot be
read. 4: no damage, but not all of this is proved."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path

OUTSIDE = "a checkpoint from outside"


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
        replaced.update(dict.fromkeys(claim.get("replaces", []), at))  # lost or stolen keys
        if "next_key" in claim:  # the holder of this key vouches for the one that signs from here on
            replaced[key_id] = at
            trust(claim["next_key"].encode())
    return claim


def judge(statements):
    """Compare the last entry with the checkpoints over it. A key comes before the one for which it vouches."""
    global place
    for place, checkpoint in sorted(statements, key=lambda pair: not any(key in pair[1]["checkpoint"] for key in keys)):
        claim = verified_claim(checkpoint)
        problem = f"entry {claim['sequence']} of {claim['tenant_id']!r} is missing, or is not the one signed at "
        is_match = (claim["tenant_id"], claim["sequence"], claim["entry_hash"]) == (tenant, sequence, previous)
        require(is_match, problem + claim["signed_at"])
        found.update(signed=sequence, signed_at=claim["signed_at"])
        if place == OUTSIDE:
            found["witnessed"] = sequence
    found["checkpoints"] += len({checkpoint["checkpoint"] for _, checkpoint in statements})


parser = ArgumentParser(description=__doc__)
parser.add_argument("export", type=Path)
parser.add_argument("--tenant", help="whose trail it must be")
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="checkpoints stored elsewhere")
parser.add_argument("--head", metavar="SEQUENCE:HASH", help="an entry's hash that was recorded elsewhere")
parser.add_argument("--through", type=int, metavar="SEQUENCE", help="the last entry that you ask about")
arguments = parser.parse_args()
sequence, previous, tenant, statements = 0, "", arguments.tenant, []
keys, replaced, external = {}, {}, {}
found = {"checkpoints": 0, "signed": 0, "signed_at": "(never)", "witnessed": 0}
try:
    for path in arguments.public_key:
        trust(path.read_bytes())
    for line in "\n".join(path.read_text() for path in arguments.checkpoint).splitlines():
        if line.strip():
            checkpoint = json.loads(line)
            external.setdefault(json.loads(checkpoint["checkpoint"])["sequence"], []).append((OUTSIDE, checkpoint))
    head, head_hash = arguments.head.split(":") if arguments.head else (0, "")
    head, export = int(head), arguments.export.open("rb")
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
            statements.append((place, entry))
            continue
        judge(statements)
        place, tenant, sequence = f"line {number}", tenant or entry["tenant_id"], sequence + 1
        require(entry["tenant_id"] == tenant, f"it is of the tenant {entry['tenant_id']!r}, not of {tenant!r}")
        is_linked = (entry["sequence"], entry["previous_hash"]) == (sequence, previous)
        require(is_linked, f"this is not entry {sequence}, or the hash of the entry before it does not match")
        if entry.get("kind") == "states accepted":
            print(f"ACCEPTED by {entry['actor']!a} in entry {sequence}: {entry['reason']!a}")
        previous = sha256(line.rstrip(b"\n")).hexdigest()
        statements = external.pop(sequence, [])
        if sequence == head:
            require(head_hash == previous, f"entry {sequence} is not the one that --head states")
            found["witnessed"] = sequence
    judge(statements)
    place = "the end"
    require(sequence, "the export has no entry")
    is_whole = not external and head <= sequence
    require(is_whole, f"entries after {sequence} are missing, according to a checkpoint or head from outside")
except Exception as error:
    reasons = {"KeyError": f"it has no {error}", "JSONDecodeError": "it is not JSON", "TypeError": "it is not an entry"}
    reasons["InvalidSignature"] = "its signature was not made by the key that it names"
    require(False, reasons.get(type(error).__name__, f"{type(error).__name__} {error}"))
signed = found["signed"]
print(f"{tenant!r}: {sequence} entries in one unbroken chain that ends with {previous}")
print(f"{found['checkpoints']} checkpoints match, the last at entry {signed}; {sequence - signed} entries follow it")
print(f"signatures {'' if keys else 'NOT '}verified")
if keys and not signed:
    sys.exit("FAILED: no signature vouches for this trail")
if found["witnessed"] < (arguments.through or sequence):
    print(f"NOT proved: entries after {signed or sequence}, if others ever existed, would not be missed.")
    print(f"Compare with a checkpoint stored elsewhere, newer than {found['signed_at']}, or with a head: see --help")
    sys.exit(4 if keys or arguments.through else 0)
