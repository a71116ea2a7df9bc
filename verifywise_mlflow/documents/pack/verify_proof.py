"""Verifies a file by `verifywise-mlflow audit prove` offline. Needs Python 3.9, and `cryptography` for signatures.
Exit code 0: all of it follows from the checkpoint. 1: refused, with the reason. 2: a file could not be read. 4: all of
it follows from the checkpoint, but no sync committed one of the states: a person accepted it.

Each state that the operator's program stored is a leaf of a Merkle tree (RFC 9162), with the SHA-256 of its text. The
tree's root, one hash, changes with each letter of each state. An entry of the audit trail has the root and the hash of
the entry before it, and a checkpoint signs the hash of an entry. This script follows these hashes up to the signature.

NOT PROVED: that MLflow showed the truth, what happened between two syncs, that the operator's clock was right, and that
this file has each state of the version: it has the record and, if they are shown, the manifest, verdicts and badge."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path


def say(text, to=None):  # no character of a stranger's text can change what the terminal shows
    print("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text), file=to)


def require(condition, problem):
    return condition or sys.exit(say(f"REFUSED: {problem}") or 1)


def hash_of(value):
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def root(node, path):
    """Return the root above a node. Each step of the path has the side on which the next neighbor is, and its hash."""
    for side, neighbor in (step.split(" ") for step in path):
        left, right = {"left": (neighbor, node), "right": (node, neighbor)}[side]
        node = sha256(b"\1" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()
    return node


parser = ArgumentParser(description=__doc__.partition("\n\n")[0])
parser.add_argument("proof", type=Path)
parser.add_argument("--tenant", help="whose states or trail it must be")
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a checkpoint that you saved")
arguments, keys, signed, accepted = parser.parse_args(), {}, set(), []
try:
    for path in arguments.public_key:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        key = load_pem_public_key(path.read_bytes())
        keys["sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()] = key
    saved = [line for path in arguments.checkpoint for line in path.read_text("utf-8").splitlines() if line.strip()]
    proof = json.loads(arguments.proof.read_text("utf-8"))
except (ImportError, OSError, RecursionError, ValueError) as error:
    sys.exit(say(f"cannot be verified, and NO signature was: {error}", sys.stderr) or 2)
try:
    entries, hashes = [*map(json.loads, proof["entries"])], [*map(hash_of, proof["entries"])]
    tenant, first, last = arguments.tenant or proof["tenant"], entries[0]["sequence"], entries[-1]["sequence"]
    for number, (entry, before) in enumerate(zip(entries, [entries[0]["previous_hash"], *hashes]), first):
        is_next = (entry["sequence"], entry["previous_hash"], entry["tenant_id"]) == (number, before, tenant)
        require(is_next, f"entry {number} of the trail is another tenant's, or does not follow the one before it")
    for checkpoint in [*proof["checkpoints"], *map(json.loads, saved)]:
        claim = json.loads(checkpoint["checkpoint"])
        number, key_id = claim["sequence"], claim["key_id"]
        is_claim = (claim["format"], claim["tenant_id"]) == ("verifywise audit checkpoint 1", tenant)
        is_same = first <= number <= last and claim["entry_hash"] == hashes[number - first]
        require(is_claim and is_same, f"entry {number} is not here, or not as it was when a checkpoint was signed")
        if key_id in keys:
            keys[key_id].verify(bytes.fromhex(checkpoint["signature"]), checkpoint["checkpoint"].encode())
            signed.add(number)
        say(f"Entry {number}: signed at {claim['signed_at']} by {key_id}, {'' if key_id in keys else 'NOT '}verified.")
    require(last in signed or not keys, f"no signature vouches for this: none with your key is over entry {last}")
    say("" if keys else "NOTHING VOUCHES FOR THIS until you verify a signature: see --public-key.")
    if "states" in proof:  # of one version: the newest ones when the first entry was written
        about = {"tenant": tenant, "model": proof["model_name"], "version": proof["version_number"]}
        committed, newest, given = entries[0]["counts"]["states"], {}, {}
        until = next((entry for entry in entries[1:] if "states" in entry["counts"]), entries[-1])["occurred_at"]
        say(f"From {entries[0]['occurred_at']} to {until} at least, the newest states of {[*about.values()]} were:")
        for state in proof["states"]:
            leaf, content, columns = json.loads(state["leaf"]), json.loads(state["content"]), state["verdicts"]
            what, node = f"the {leaf['kind']} of {leaf['written_at']}", hash_of("\0" + state["leaf"])
            require({"format": "verifywise state 1", **about}.items() <= leaf.items(), f"{what} is another version's")
            require(hash_of(state["content"]) == leaf["content"], f"{what} has another text than the stored one")
            require(root(node, state["log_path"]) == committed["root"], f"{what} is not in the log")
            for part in [it for it in committed.get("accepted", []) if it["first"] <= leaf["position"] <= it["last"]]:
                accepted += [say(f"NO SYNC COMMITTED {what}: a person accepted it, see entry {part['entry']}.")]
            hashes = {name: hash_of(text) for name, text in columns.items()}  # a text has a cell for each verdict
            require(hashes == content.get("verdicts", {}), f"{what} has other verdicts than the stored ones")
            gave = [dict(zip(columns, cells)) for cells in zip(*(text.split("\x1e") for text in columns.values()))]
            given.update({(verdict["rule_id"], verdict["fingerprint"]): verdict for verdict in gave})
            if state["model_path"] is not None:
                model = {"model": leaf["model"], "root": root(node, state["model_path"])}
                model_leaf = hash_of("\0" + json.dumps(model, separators=(",", ":"), ensure_ascii=False))
                require(root(model_leaf, proof["models_path"]) == committed["current"], f"{what} is not the newest one")
                newest[leaf["kind"]] = say(f"- {what}, stored by the sync {leaf['sync_id']}") or (content, gave)
        for field, value in newest["record"][0].items():
            say(f"  {field}: {value}") if value and len(value) < 200 else None
        now, gave = newest.get("evaluation", ({"badge": "not proved", "kept": {}}, []))
        require(given.keys() >= now["kept"].items() and ("evaluation" in newest or not given), "a verdict is missing")
        for verdict in gave + [given[kept] for kept in now["kept"].items()]:
            rule, parts = verdict["rule_id"], proof["rules"].get(verdict["rule_id"])
            inputs = {name: json.loads(verdict[name]) for name in ("thresholds", "values")}
            inputs.update(day=verdict["day"] or None, rule=parts and hash_of(parts))
            require(not parts or hash_of(inputs) == verdict["input_hash"], f"{rule} was decided on other inputs")
            say(f"- {rule}: {verdict['verdict']}{'' if parts else ' (inputs NOT hashed)'}. {verdict['reason']}")
        say(f"- badge: {now['badge']}")
    else:  # the trail from a former entry on; the log of states begins again when a tenant is erased
        begin = max((entry["sequence"] for entry in entries if entry["kind"] == "tenant erased"), default=0)
        logs = [entry for entry in entries if "states" in entry["counts"] and entry["sequence"] > begin]
        for old, new in zip(logs[:1], logs[-1:]):  # the left side of the path was there before, the right was added
            was, grown = (log["counts"]["states"] for log in (old, new))
            start, path, number = proof["log_node"], proof["log_path"], new["sequence"]
            reached = root(start, [step for step in path if step.startswith("left")]), root(start, path)
            require(reached == (was["root"], grown["root"]), f"entry {number} has another log, not that of before")
            say(f"The log of {was['size']} states (entry {old['sequence']}) grew to {grown['size']} (entry {number}).")
        say(f"Entries {first} to {last} are one chain.")
except Exception as error:
    require(False, f"this is not a proof, or its signature was made by another key than it names: {error!r}")
sys.exit(print(__doc__.rpartition("\n\n")[2]) or 4 * bool(accepted))
