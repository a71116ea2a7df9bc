"""Verifies an export by `verifywise-mlflow audit export` offline. Needs Python 3.9, and `cryptography` for signatures.

Exit code 0: no damage. With --public-key: signed, too. With --public-key or --through: a statement from outside covers
every entry up to the last one (or up to --through), so that none is missing. 1: damaged, empty, or not signed by your
keys. 2: an option or a file is wrong, cut off or unreadable. 4: no damage, but not all of this is proved."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path


def require(condition, problem, verdict="DAMAGED"):
    return condition or sys.exit(f"{verdict} at {place}: {problem}")


def refuse(problem):
    sys.exit(print(f"cannot be verified: {problem}", file=sys.stderr) or 2)


def trust(pem):
    """Let the signatures of a key count from here on; return its hash."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("the key is of a kind other than Ed25519")
    key_id = "sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    keys[key_id] = key
    replaced.pop(key_id, None)
    return key_id


def read_key(path):
    pem = path.read_bytes()
    if b"PRIVATE KEY" in pem:
        refuse(f"{path} is a private key, which its owner must keep secret: use the public key")
    try:
        return f"{path} is the key {trust(pem)}"
    except ImportError:
        refuse("signatures need the Python package `cryptography`: install it, or omit --public-key")
    except Exception:  # cryptography raises several
        refuse(f"{path} is not an Ed25519 public key in PEM")


def read_checkpoints(path):
    """Read the checkpoints in a file from outside."""
    for number, line in enumerate(path.read_bytes().decode("utf-8-sig", "replace").split("\n"), 1):
        if not line.strip():
            continue
        try:
            checkpoint = json.loads(line)
            claim = json.loads(checkpoint["checkpoint"])
            checkpoint["signature"], claim["format"], claim["entry_hash"], claim["signed_at"]  # all are needed
            outside.setdefault(claim["sequence"] + 0, []).append((f"a checkpoint of {path}", checkpoint))
            outside_keys.add(claim["key_id"])
            owners.append((path, claim["tenant_id"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            refuse(f"{path}: line {number} is not a checkpoint in UTF-8: copy the file again as it is")
    if path not in dict(owners):
        refuse(f"{path} has no checkpoint: copy the file again")


def parse(line):
    """Return the content of a line. Refuse a file that is not an export, was converted, or was cut off."""
    text = line.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")  # as it was before a conversion
    if place == "line 1" and not (text.startswith(b'{"') and (b'"tenant_id"' in text or b'"checkpoint"' in text)):
        refuse(f"{export} does not begin with an entry: it is not an export of a trail")
    if b"\r" in line or line[:2] in (b"\xef\xbb", b"\xff\xfe", b"\xfe\xff"):
        problem = f"{place} has other line endings (CR LF) or another encoding than in the export"
        refuse(f"{problem}: copy the file again as it is, as binary, without autocrlf or PowerShell's >")
    try:
        return json.loads(line)
    except ValueError:
        again = "download it again. If it ends there again, the export was cut off"
        if not line.endswith(b"\n"):
            refuse(f"{export} ends in the middle of {place}: {again}")
        require(False, "it is not JSON")


def verify_signature(checkpoint, claim):
    """Verify the signature of a checkpoint, and trust the key for which it vouches."""
    key_id, at = claim["key_id"], claim["sequence"]
    if key_id not in keys:
        problem = f"it names the key {key_id!a}, which was not supplied and for which no other key vouches: "
        problem += "supply the first key of the trail, and each that replaced a lost one. Compare the hash of your key "
        problem += "with the one that you noted. If your key is the right one, "
        if not signed and key_id in outside_keys:
            refuse(f"{place}: {problem}what vouches for the other key was removed from the export")
        require(False, f"{problem}the other one is a forger's", "FAILED")
    require(at <= replaced.get(key_id, at), f"it is of the key {key_id}, which an earlier entry replaced")
    keys[key_id].verify(bytes.fromhex(checkpoint["signature"]), checkpoint["checkpoint"].encode())
    replaced.update(dict.fromkeys(claim.get("replaces", []), at))  # lost or stolen keys
    if "next_key" in claim:  # the holder of this key vouches for the one that signs from here on
        replaced[key_id] = at
        changes[f"at entry {at}, the key {key_id} vouches for {trust(claim['next_key'].encode())}"] = at


def compare(checkpoints):
    """Compare the last entry with the checkpoints over it. A key comes before the one for which it vouches."""
    global place, matching, signed, signed_at, witnessed
    for place, checkpoint in sorted(checkpoints, key=lambda it: not any(key in it[1]["checkpoint"] for key in keys)):
        claim = json.loads(checkpoint["checkpoint"])
        require(claim["format"] == "verifywise audit checkpoint 1", "this is not a checkpoint of an audit trail")
        if keys:
            verify_signature(checkpoint, claim)
        owner, number, signed_at = claim["tenant_id"], claim["sequence"], ascii(claim["signed_at"])[1:-1]
        problem = f"entry {number} of {owner!a} is missing, or is not the one signed at {signed_at}"
        require((owner, number, claim["entry_hash"]) == (tenant, sequence, last_hash), problem)
        signed, witnessed = sequence, witnessed if place.startswith("line ") else sequence
    matching += len({checkpoint["checkpoint"] for _, checkpoint in checkpoints})


parser = ArgumentParser(description=__doc__)
parser.add_argument("export", type=Path)
parser.add_argument("--tenant", help="whose trail it must be")
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="checkpoints stored elsewhere")
parser.add_argument("--head", metavar="SEQUENCE:HASH", help="an entry's hash that was recorded elsewhere")
parser.add_argument("--through", type=int, metavar="SEQUENCE", help="the last entry that you ask about")
arguments = parser.parse_args()
export, tenant, sequence, last_hash, checkpoints = arguments.export, arguments.tenant, 0, "", []
keys, replaced, changes = {}, {}, {}  # by the hash of a key: the key, and the last entry that it may sign
outside, outside_keys, owners = {}, set(), []  # checkpoints from outside by entry, their keys and their tenants
matching = signed = witnessed = 0  # the number of checkpoints, and the last entry with one, and with one from outside
head, _, head_hash = (arguments.head or "0:" + "0" * 64).partition(":")
if not head.isdecimal() or len(head) > 18 or len(head_hash) != 64:
    refuse("--head must be the number of an entry and its hash in 64 hex digits, such as 12:9f86...")
try:
    trusted = [read_key(path) for path in arguments.public_key]
    for path in arguments.checkpoint:
        read_checkpoints(path)
    head, lines = int(head), export.open("rb")
except OSError as error:
    refuse(f"{error.filename}: {error.strerror}")
try:
    for number, line in enumerate(lines, 1):
        place = f"line {number}"
        entry = parse(line)
        if "checkpoint" in entry:
            checkpoints.append((place, entry))
            continue
        compare(checkpoints)
        place, sequence, tenant = f"line {number}", sequence + 1, tenant or entry["tenant_id"]
        for path, owner in [*owners, (export, entry["tenant_id"])] if sequence == 1 else []:
            if owner != tenant:
                refuse(f"{path} is not evidence about {tenant!a}, but about {owner!a}: use files of one tenant")
        require(entry["tenant_id"] == tenant, f"it is of the tenant {entry['tenant_id']!a}, not of {tenant!a}")
        is_linked = (entry["sequence"], entry["previous_hash"]) == (sequence, last_hash)
        require(is_linked, f"this is not entry {sequence}, or the hash of the entry before it does not match")
        if entry.get("kind") == "states accepted":
            print(f"ACCEPTED by {entry['actor']!a} in entry {sequence}: {entry['reason']!a}")
        last_hash = sha256(line.rstrip(b"\n")).hexdigest()
        checkpoints = outside.pop(sequence, [])
        if sequence == head:
            require(head_hash.lower() == last_hash, f"entry {sequence} is not the one that --head states")
            witnessed = sequence
    place = "the end"
    again = f"download {export} again. If it has none again, all entries were removed"
    require(sequence, f"the export has no entry: {again}", "FAILED")
    compare(checkpoints)
    place = "the end"
    is_whole = not outside and head <= sequence
    require(is_whole, f"entries after {sequence} are missing, according to a checkpoint or head from outside")
except Exception as error:
    reasons = {"KeyError": f"it has no {error}", "TypeError": "it is not an entry"}
    reasons["InvalidSignature"] = "its signature was not made by the key that it names"
    require(False, reasons.get(type(error).__name__, f"{type(error).__name__} {error}"))
end = arguments.through or sequence
print(f"{tenant!a}: entries 1 to {sequence} form one unbroken chain that ends with {last_hash}")
if keys and not signed:
    sys.exit("FAILED: no signature vouches for this trail: it was never signed, or its checkpoints were removed")
if not signed:
    print("there is no checkpoint, so no signature was verified")
else:
    print(f"matching checkpoints: {matching}; the last one is over entry {signed} of {sequence}")
    print(f"signatures {'' if keys else 'NOT '}verified", *trusted, *changes, sep="\n")
if witnessed:
    print(f"what you have from outside covers entries 1 to {witnessed}")
if witnessed < end:
    if end > sequence:
        print(f"NOT proved: the trail ends with entry {sequence}, before entry {end}.")
    elif witnessed or arguments.through:
        print(f"NOT proved: nothing from outside covers entries {witnessed + 1} to {end}.")
    if end >= sequence:
        print(f"NOT proved: entries after {signed or sequence}, if others ever existed, would not be missed.")
    than = f", newer than {signed_at}" if signed else ""
    print(f"Compare with a checkpoint stored elsewhere{than}, or with a head: see --help")
    sys.exit(4 if keys or arguments.through else 0)
