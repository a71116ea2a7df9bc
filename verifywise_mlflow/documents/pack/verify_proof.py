"""Verifies a file by `verifywise-mlflow audit prove` offline. Needs Python 3.9, and `cryptography` for signatures.
It follows hashes: from states, leaves of a Merkle tree (RFC 9162), over entries of the audit trail to what was signed.
Exit code 0: nothing is wrong, and with --public-key, the last entry is signed. 1: refused. 2: a file is of another
tenant or unreadable. 4: not refused, but NOT COVERED by a --checkpoint, NOT COMPARED, or accepted by a person alone.

NOT PROVED: that MLflow showed the truth, what happened between two syncs, and that the operator's clock was right."""

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path


def say(text, to=None):  # no character of a stranger's text can change what the terminal shows
    print("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text), file=to)


def require(condition, problem, code=1):
    outcome, to = {1: ("REFUSED", None), 2: ("cannot be verified, and NO signature was", sys.stderr)}[code]
    return condition or sys.exit(say(f"{outcome}: {problem}", to) or code)


def hash_of(value):
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def root(node, path):
    for side, neighbor in (step.split(" ") for step in path):  # the side on which the neighbor is, and its hash
        node = sha256(b"\1" + bytes.fromhex({"left": neighbor + node, "right": node + neighbor}[side])).hexdigest()
    return node


parser = ArgumentParser(description=__doc__.partition("\n\n")[0])
parser.add_argument("proof", type=Path)
parser.add_argument("--tenant", help="whose states or trail it must be")
parser.add_argument("--public-key", type=Path, action="append", default=[], help="PEM; only such signatures count")
parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="checkpoints that you saved")
args, keys, saved, signed, gaps, code, form = parser.parse_args(), {}, [], set(), {}, 2, "verifywise audit checkpoint 1"
try:  # utf-8-sig skips the mark that editors on Windows write first
    problem = "neither a public key in PEM nor a checkpoint in each line. A PRIVATE key must never leave the operator"
    for path in args.public_key:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        key = load_pem_public_key(path.read_text("utf-8-sig").encode())
        keys["sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()] = key
    for path in args.checkpoint:
        lines = [json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()] or [{}]
        saved += [(path, line, json.loads(line["checkpoint"])) for line in reversed(lines)]  # the newest first
    path, problem = args.proof, "this is not a proof by `audit prove`, or its signature was made by another key"
    proof, code = json.loads(path.read_text("utf-8-sig")), 1
    entries, hashes = [*map(json.loads, proof["entries"])], [*map(hash_of, proof["entries"])]
    tenant, first, last = args.tenant or proof["tenant"], entries[0]["sequence"], entries[-1]["sequence"]
    for it, owner in [(path, proof["tenant"]), *((it, claim["tenant_id"]) for it, _, claim in saved)]:
        require(owner == tenant, f"{it} is of the tenant {owner!r}, but this must be about {tenant!r}", 2)
    for number, (it, prior) in enumerate(zip(entries, [entries[0]["previous_hash"], *hashes]), first):
        fits = (it["sequence"], it["previous_hash"], it["tenant_id"]) == (number, prior, tenant)
        require(fits, f"entry {number} ({it['tenant_id']!r}) is another tenant's, or does not follow the one before it")
    for source, line, claim in [("this file", it, json.loads(it["checkpoint"])) for it in proof["checkpoints"]] + saved:
        owner, number, by = (claim[name] for name in ("tenant_id", "sequence", "key_id"))
        require(owner == tenant, f"{source} has a checkpoint of the tenant {owner!r}, but this is about {tenant!r}")
        if source != "this file" and not first <= number <= last:
            gaps.setdefault(source, f"entry {number} is not in this file, which has entries {first} to {last}")
            continue
        is_same = first <= number <= last and (form, hashes[number - first]) == (claim["format"], claim["entry_hash"])
        require(is_same, f"entry {number} is not here, or not as it was when a checkpoint was signed: see {source}")
        if by in keys:
            signed.add(keys[by].verify(bytes.fromhex(line["signature"]), line["checkpoint"].encode()) or number)
        gaps[source] = None  # this file covers the proof
        say(f"Entry {number}, {source}: signed at {claim['signed_at']} by {by}, {'NOT ' * (by not in keys)}verified.")
    doubts = [say(f"NOT COVERED BY {it}: {why}: see `audit prove --checkpoint`") for it, why in gaps.items() if why]
    require(last in signed or not keys, f"no signature vouches for this: none with your key is over entry {last}")
    say("" if keys else "NOTHING VOUCHES FOR THIS until you verify a signature: see --public-key.")
    if "states" in proof:  # of one version: the newest ones when the first entry was written
        about = {"tenant": tenant, "model": proof["model_name"], "version": proof["version_number"]}
        committed, newest, given = entries[0]["counts"]["states"], {}, {}
        times = dict.fromkeys([e["occurred_at"] for e in entries if "states" in e["counts"] or e is entries[-1]][:2])
        say(f"At {' and until '.join(times)}, the newest states of {about['model']!r} version {about['version']} were:")
        for state in proof["states"]:
            leaf, content, columns = json.loads(state["leaf"]), json.loads(state["content"]), state["verdicts"]
            what, node = f"the {leaf['kind']} of {leaf['written_at']}", hash_of("\0" + state["leaf"])
            require({"format": "verifywise state 1", **about}.items() <= leaf.items(), f"{what} is another version's")
            require(hash_of(state["content"]) == leaf["content"], f"{what} has another text than the stored one")
            require(root(node, state["log_path"]) == committed["root"], f"{what} is not in the log")
            for part in [it for it in committed.get("accepted", []) if it["first"] <= leaf["position"] <= it["last"]]:
                doubts += [say(f"NO SYNC COMMITTED {what}: a person accepted it, see entry {part['entry']}.")]
            hashes = {name: hash_of(text) for name, text in columns.items()}  # a text has a cell for each verdict
            require(hashes == content.get("verdicts", {}), f"{what} has other verdicts than the stored ones")
            gave = [dict(zip(columns, cells)) for cells in zip(*(text.split("\x1e") for text in columns.values()))]
            given.update({(verdict["rule_id"], verdict["fingerprint"]): verdict for verdict in gave})
            if state["model_path"] is not None:
                model = {"model": leaf["model"], "root": root(node, state["model_path"])}
                model_leaf = hash_of("\0" + json.dumps(model, separators=(",", ":"), ensure_ascii=False))
                require(root(model_leaf, proof["models_path"]) == committed["current"], f"{what} is not the newest one")
                newest[leaf["kind"]] = say(f"- {what}, stored by the sync {leaf['sync_id']}") or (content, gave)
        [say(f"  {field}: {value}") for field, value in newest["record"][0].items() if value and len(value) < 200]
        now, gave = newest.get("evaluation", ({"badge": "not proved", "kept": {}}, []))
        require(given.keys() >= now["kept"].items() and ("evaluation" in newest or not given), "a verdict is missing")
        for verdict in gave + [given[kept] for kept in now["kept"].items()]:
            rule, parts = verdict["rule_id"], proof["rules"].get(verdict["rule_id"])
            inputs = {name: json.loads(verdict[name]) for name in ("thresholds", "values")}
            inputs.update(day=verdict["day"] or None, rule=parts and hash_of(parts))
            require(not parts or hash_of(inputs) == verdict["input_hash"], f"{rule} was decided on other inputs")
            say(f"- {rule}: {verdict['verdict']}{'' if parts else ' (inputs NOT hashed)'}. {verdict['reason']}")
        say(f"- badge: {now['badge']}. A manifest need not be in this file; events and waivers never are.")
    else:  # the trail from a former entry on; the log of states begins again when a tenant is erased
        begin = max((place for place, entry in enumerate(entries, 1) if entry["kind"] == "tenant erased"), default=0)
        log = {e["sequence"]: e["counts"]["states"] for e in entries[begin:] if "states" in e["counts"]}
        doubts += [say(f"NOT COMPARED: logs before entry {first + begin}.")] if begin or first not in {1, *log} else []
        for (old, was), (number, grown) in zip([*log.items()][:1], [*log.items()][-1:]):
            start, steps = proof["log_node"], proof["log_path"]  # the left steps lead to the former log
            reached = root(start, [step for step in steps if step.startswith("left")]), root(start, steps)
            require(reached == (was["root"], grown["root"]), f"entry {number} has another log, not that of before")
            say(f"The log of {was['size']} states (entry {old}) grew to {grown['size']} (entry {number}).")
        say(f"Entries {first} to {last} are one chain.")
except Exception as error:
    require(False, f"{path}: {error if isinstance(error, ImportError) else getattr(error, 'strerror', problem)}", code)
sys.exit(print(__doc__.rpartition("\n\n")[2]) or 4 * bool(doubts))
