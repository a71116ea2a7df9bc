#!/usr/bin/env python3
"""Verifies this evidence pack offline. Needs Python 3.9 and nothing else; reads only the folder that it lies in.

    python3 verify.py                           the pack in itself
    python3 verify.py --public-key public.pem   also the signature over the proof; needs the package cryptography
    python3 verify.py --trail acme.jsonl        also against an export of the whole audit trail ("audit export")

Exit code 0: everything that was checked is right. 1: something differs. 2: a file could not be read, or
state-proof.json is the proof of another tenant. 4: nothing differs, but a line with NOT SIGNED, NOT PROVED or
NO SYNC COMMITTED says what is missing. README.txt says what each check proves, and what none of them does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ESCAPES = {"\0": "\u2400", "\u2400": "\u241b\u2400", "\u241b": "\u241b\u241b"}
ABOUT = ("tenant", "model_name", "version_number", "as_of")
# The columns that state-proof.json has of a record, in addition to its fields, and of each verdict.
OF_RECORD = ("origins", "incomplete", "findings", "deleted_at")
OF_VERDICT = (
    *("rule_version", "verdict", "reason", "values", "policy_id", "policy_version", "origins", "thresholds", "day"),
    "input_hash",
)
UNPROVED = (
    "record.json: valid_from, sync_id and missing_fields",
    "verdicts.json: waivers, clauses, the policy, the titles and severities of rules, and since when anything holds",
    "other files, such as index.html, the model cards, manifest.oms.json and history.jsonl: see SHA256SUMS",
)
wrong: list[str] = []
doubts: list[str] = []


class UnreadableError(Exception):
    """A file cannot be read. The message says which."""


def digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def say(text: str) -> None:  # no character of a stranger's text can change what the terminal shows
    print("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text))


def report(differences: list[str], done: str) -> None:
    wrong.extend(differences)
    for sentence in differences[:20] or [done]:
        say(f"{'WRONG' if differences else 'ok   '}  {sentence}")


def check_files(given: set[Path]) -> None:
    """Compare the files with the list. The files that the arguments name may lie in the folder, too."""
    lines = (FOLDER / "SHA256SUMS").read_text("ascii").splitlines()
    listed = {name: expected for expected, name in (line.split("  ", 1) for line in lines)}
    files = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    differences = []
    for name in sorted(set(files) - set(listed) - {"SHA256SUMS"}):
        # File managers leave hidden files behind.
        is_harmless = files[name].name.startswith(".") or files[name].name == "Thumbs.db"
        if not is_harmless and files[name].resolve() not in given:
            differences.append(f"{name} is not a file of the pack")
    for name, expected in listed.items():
        if name not in files or sha256((FOLDER / name).read_bytes()).hexdigest() != expected:
            differences.append(f"{name} is missing, or is not the file that was packed")
    report(differences, f"{len(listed)} files have the hashes in SHA256SUMS, and there is no unexpected file")


def check_record(proof: Any, record: Any, verdicts: Any) -> None:
    differences = [
        f"{file}.json has another {name} than record.json"
        for file, document in (("proof", proof), ("verdicts", verdicts))
        for name in ABOUT
        if document[name] != record[name]
    ]
    if digest(record["record"]) != proof["record_sha256"]:
        differences.append("the record does not have the hash in proof.json")
    report(differences, "the record has the hash in proof.json, and all files are about the same version and time")


def check_verdicts(proof: Any, verdicts: Any) -> None:
    hashes, differences, unknown = proof["verdict_input_hashes"], [], []
    for verdict in verdicts["verdicts"]:
        rule_id, rule = verdict["rule_id"], verdicts["rules"].get(verdict["rule_id"])
        is_right = rule is not None and input_hash(rule, verdict) == verdict["input_hash"]
        if rule_id in hashes and not (is_right and hashes[rule_id] == verdict["input_hash"]):
            differences.append(f"the verdict of {rule_id} has other inputs than those that are stated")
        elif not is_right:
            unknown.append(rule_id)
    count = len(verdicts["verdicts"]) - len(unknown)
    report(differences, f"{count} verdicts rest on the rules, values and thresholds that are stated")
    for rule_id in unknown:
        say(f"note   NOT proved: the rule {rule_id} in verdicts.json: the verdict rests on another form of it")


def input_hash(rule: Any, verdict: Any) -> str:
    """Return the hash of everything that decides a verdict."""
    decides = {name: rule.get(name) for name in ("applies", "evidenced", "id", "requires", "version")}
    conditions = [{name: item.get(name) for name in ("holds", "otherwise")} for item in rule.get("conditions") or ()]
    inputs = {name: verdict[name] for name in ("day", "thresholds", "values")}
    return digest({**inputs, "rule": digest({**decides, "conditions": conditions})})


def check_entries(proof: Any) -> None:
    differences, before = [], None
    for entry in proof["audit_entries"]:
        content = json.loads(entry["entry"])
        is_right = sha256(entry["entry"].encode("ascii")).hexdigest() == entry["sha256"]
        if not is_right or (content["sequence"], content["tenant_id"]) != (entry["sequence"], proof["tenant"]):
            differences.append(f"audit entry {entry['sequence']} does not have its hash, sequence or tenant")
        if before and entry["sequence"] == before["sequence"] + 1 and content["previous_hash"] != before["sha256"]:
            differences.append(f"audit entry {entry['sequence']} does not follow the one before it")
        before = entry
    report(differences, f"{len(proof['audit_entries'])} audit entries have their hashes, and neighbors are linked")


def check_state_proof(record: Any, verdicts: Any, public_keys: list[Path]) -> None:
    """Check that the record and the verdicts are those that state-proof.json proves: verify_proof.py shows how."""
    if not (FOLDER / "state-proof.json").exists():
        report(["there is no state-proof.json to verify with your key"] if public_keys else [], "")
        print("note   nothing proves that the audit trail commits this record: README.txt says why")
        return
    proof = json.loads((FOLDER / "state-proof.json").read_text("ascii"))
    is_unsigned = bool(public_keys) and isinstance(proof, dict) and proof.get("checkpoints") == []
    if is_unsigned:
        public_keys = []
        doubts.append("NOT SIGNED: this pack was made before a checkpoint was signed. A later pack is signed")
    keys = [text for path in public_keys for text in ("--public-key", str(path))]
    about = [f"--tenant={stored(record['tenant'])}", *keys]
    command = [sys.executable, "-I", str(FOLDER / "verify_proof.py"), str(FOLDER / "state-proof.json"), *about]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603  # our own script
    said = (result.stdout + result.stderr).strip().splitlines() or ["it ended without a word"]
    if result.returncode == 2:
        raise UnreadableError(said[-1])
    is_refused = result.returncode not in (0, 4)
    report([said[-1]] if is_refused else [], "the audit trail commits what state-proof.json has")
    if is_refused:
        return
    doubts.extend(line for line in said if line.startswith("NO SYNC COMMITTED"))
    newest = {
        json.loads(state["leaf"])["kind"]: json.loads(state["content"])
        for state in proof["states"]
        if state["model_path"] is not None
    }
    differences = [
        *other_version(proof, record),
        *other_time(proof, record),
        *other_record(newest["record"], record),
        *other_verdicts(proved_verdicts(proof["states"]), verdicts),
        *other_badge(newest.get("evaluation"), verdicts),
    ]
    done = f"the record, the badge and {len(verdicts['verdicts'])} verdicts are those that state-proof.json proves"
    report(differences, done)
    for sentence in [*(line for line in said if line.startswith("At ")), *doubts]:
        say(f"note   {sentence}")
    for names in UNPROVED:
        say(f"note   NOT proved: {names}")
    say(f"note   the signature over it was {'verified' if public_keys else 'NOT verified: see --public-key'}")


def other_version(proof: Any, record: Any) -> list[str]:
    return [
        f"record.json has another {name} than state-proof.json"
        for name in ("tenant", "model_name", "version_number")
        if stored(record[name]) != proof[name]
    ]


def other_time(proof: Any, record: Any) -> list[str]:
    """Compare the pack's time with the two times between which the proved states were the newest ones."""
    first, *others = (json.loads(entry) for entry in proof["entries"])
    later = [entry for entry in others if "states" in entry["counts"]]
    until = (later[:1] or others[-1:] or [first])[0]["occurred_at"]
    as_of = record["as_of"]
    if moment(as_of) < moment(first["occurred_at"]):
        return [f"the pack has the time {as_of}, but its states were committed later: {first['occurred_at']}"]
    if moment(as_of) > moment(until) and later:
        return [f"the pack has the time {as_of}, but other states were committed before that time: {until}"]
    if moment(as_of) > moment(until):
        doubts.append(f"NOT PROVED: that these were still the newest states at {as_of}, the time of the pack")
    return []


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def other_record(columns: Any, record: Any) -> list[str]:
    differences = []
    if set(record["record"]) != set(columns) - set(OF_RECORD):
        differences.append("record.json has other fields than state-proof.json")
    deleted_at = record["deleted_at"] and moment(record["deleted_at"]).isoformat()
    shown = {**record["record"], **{name: record[name] for name in OF_RECORD}, "deleted_at": deleted_at}
    for name, value in shown.items():
        if name in columns and not is_stored(columns[name], value):
            differences.append(f"record.json has another {name} than state-proof.json")
    return differences


def other_verdicts(proved: dict[str, Any], verdicts: Any) -> list[str]:
    missing = proved.keys() - {verdict["rule_id"] for verdict in verdicts["verdicts"]}
    differences = [f"verdicts.json has no verdict of {rule_id}, unlike state-proof.json" for rule_id in sorted(missing)]
    for verdict in verdicts["verdicts"]:
        cells = proved.get(verdict["rule_id"], {})
        shown = {**verdict, "day": verdict["day"] or ""}  # the cell is empty if the rule does not read the day
        other = [name for name in OF_VERDICT if not is_stored(cells.get(name), shown[name])]
        if other:
            differences.append(
                f"verdicts.json has another verdict of {verdict['rule_id']} than state-proof.json: {', '.join(other)}"
            )
    return differences


def other_badge(evaluation: Any, verdicts: Any) -> list[str]:
    shown = verdicts["badge"]["badge"] if verdicts["badge"] else ""
    if evaluation is None:
        doubts.append("NOT PROVED: that the version had no verdict and no badge: state-proof.json has no evaluation")
    is_same = shown == (evaluation["badge"] if evaluation else "")
    return [] if is_same else ["verdicts.json has another badge than state-proof.json"]


def proved_verdicts(states: list[Any]) -> dict[str, Any]:
    """Return the verdicts in force: those that the newest evaluation gave, and the former ones that it kept."""
    given, newest, kept = {}, {}, {}
    for state in states:
        columns = {name: text.split("\x1e") for name, text in state["verdicts"].items()}
        verdicts = [dict(zip(columns, cells)) for cells in zip(*columns.values())]
        given.update({(verdict["rule_id"], verdict["fingerprint"]): verdict for verdict in verdicts})
        if state["model_path"] is not None:
            newest.update({verdict["rule_id"]: verdict for verdict in verdicts})
            kept.update(json.loads(state["content"]).get("kept", {}))
    return {**{rule: given[rule, fingerprint] for rule, fingerprint in kept.items()}, **newest}


def is_stored(text: Any, value: Any) -> bool:
    """Whether a column with this text has the value: a text as it is, anything else as JSON."""
    if text is None or value is None:
        return text is value
    return bool(text == stored(value) if isinstance(value, str) else json.loads(text) == stored(value))


def stored(value: Any) -> Any:
    """Return a value with its texts as the database has them, which knows neither NUL nor lone surrogates."""
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff\u2400\u241b]", lambda match: ESCAPES.get(match[0]) or code(match[0]), value)
    if isinstance(value, dict):
        return {stored(name): stored(item) for name, item in value.items()}
    return [stored(item) for item in value] if isinstance(value, list) else value


def code(character: str) -> str:
    return f"\u241b{ord(character):04x}"


def check_trail(proof: Any, trail: Path) -> None:
    packed = {entry["sequence"]: entry["entry"] for entry in proof["audit_entries"]}
    claim = json.loads(proof["checkpoint"]["checkpoint"]) if proof["checkpoint"] else {}
    differences, previous, sequence = [], "", 0
    with trail.open(encoding="utf-8", newline="\n") as lines:
        for line in (line.rstrip("\n") for line in lines):
            entry = json.loads(line)
            if "checkpoint" not in entry:
                sequence += 1
                if (entry["sequence"], entry["previous_hash"]) != (sequence, previous):
                    differences.append(f"the trail is broken before entry {sequence}")
                previous = sha256(line.encode("utf-8")).hexdigest()
                if packed.pop(sequence, line) != line:
                    differences.append(f"entry {sequence} of the trail is not the one in this pack")
                if claim.get("sequence") == sequence and claim["entry_hash"] != previous:
                    differences.append(f"the checkpoint was signed over another entry {sequence}")
    differences += [f"the trail has no entry {missing}" for missing in packed]
    if claim and claim["sequence"] > sequence:
        differences.append(f"the trail ends before entry {claim['sequence']}, over which the checkpoint was signed")
    report(differences, f"the trail is one chain of {sequence} entries and has those of this pack")


def main() -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--trail", type=Path, metavar="FILE", help="an export of the tenant's whole audit trail")
    parser.add_argument("--public-key", type=Path, metavar="FILE", action="append", default=[], help="PEM; repeatable")
    arguments = parser.parse_args()
    try:
        proof, record, verdicts = (
            json.loads((FOLDER / f"{name}.json").read_text("ascii")) for name in ("proof", "record", "verdicts")
        )
        check_files({path.resolve() for path in (arguments.trail, *arguments.public_key) if path})
        check_record(proof, record, verdicts)
        check_verdicts(proof, verdicts)
        check_entries(proof)
        check_state_proof(record, verdicts, arguments.public_key)
        if arguments.trail:
            check_trail(proof, arguments.trail)
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return 1 if wrong else 2
    except OSError as error:
        print(f"cannot be verified: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1 if wrong else 2
    except (ValueError, LookupError, TypeError, AttributeError):
        what = "a file of this pack" + (" or of --trail" if arguments.trail else "")
        print(f"cannot be verified: {what} has another form than that in which it was written", file=sys.stderr)
        return 1 if wrong else 2
    if not arguments.trail:
        print("note   this was not compared with the tenant's whole audit trail: see --trail")
    print("DIFFERENCES FOUND" if wrong else "no difference found")
    return 1 if wrong else 4 if doubts else 0


if __name__ == "__main__":
    sys.exit(main())
