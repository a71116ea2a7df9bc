#!/usr/bin/env python3
"""Verifies this evidence pack offline. Needs Python 3.9 and nothing else; reads only the folder that it lies in.

    python3 verify.py                      the pack in itself
    python3 verify.py --trail acme.jsonl   also against an export of the whole audit trail ("audit export")

Exit code 0: everything that was checked is right. 1: something differs. 2: a file could not be read.
README.txt says what each of these checks proves, and what none of them does.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
wrong: list[str] = []


def digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def report(differences: list[str], done: str) -> None:
    wrong.extend(differences)
    for sentence in differences[:20] or [done]:
        print(f"{'WRONG' if differences else 'ok   '}  {sentence}")


def check_files(trail: Path | None) -> None:
    lines = (FOLDER / "SHA256SUMS").read_text("ascii").splitlines()
    listed = {name: expected for expected, name in (line.split("  ", 1) for line in lines)}
    files = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    differences = []
    for name in sorted(set(files) - set(listed) - {"SHA256SUMS"}):
        # File managers leave hidden files behind, and the export of the trail may lie here.
        is_harmless = files[name].name.startswith(".") or files[name].name == "Thumbs.db"
        if not is_harmless and not (trail and files[name].resolve() == trail.resolve()):
            differences.append(f"{name} is not a file of the pack")
    for name, expected in listed.items():
        if name not in files or sha256((FOLDER / name).read_bytes()).hexdigest() != expected:
            differences.append(f"{name} is missing, or is not the file that was packed")
    report(differences, f"{len(listed)} files have the hashes in SHA256SUMS, and there is no unexpected file")


def check_record(proof: Any, record: Any) -> None:
    about = ("tenant", "model_name", "version_number", "as_of")
    differences = [f"record.json has another {name} than proof.json" for name in about if proof[name] != record[name]]
    if digest(record["record"]) != proof["record_sha256"]:
        differences.append("the record does not have the hash in proof.json")
    report(differences, "the record has the hash in proof.json")


def check_verdicts(proof: Any, verdicts: Any) -> None:
    hashes, differences = proof["verdict_input_hashes"], []
    for verdict in verdicts["verdicts"]:
        if verdict["rule_id"] in hashes:
            rule = verdicts["rules"][verdict["rule_id"]]
            decides = {name: rule[name] for name in ("applies", "evidenced", "id", "requires", "version")}
            conditions = [{name: item[name] for name in ("holds", "otherwise")} for item in rule["conditions"]]
            inputs = {name: verdict[name] for name in ("day", "thresholds", "values")}
            computed = digest({**inputs, "rule": digest({**decides, "conditions": conditions})})
            if not computed == verdict["input_hash"] == hashes[verdict["rule_id"]]:
                differences.append(f"the verdict of {verdict['rule_id']} has other inputs than those that are stated")
    report(differences, f"{len(hashes)} verdicts rest on the rules, values and thresholds that are stated")
    if len(verdicts["verdicts"]) > len(hashes):
        print(f"note   {len(verdicts['verdicts']) - len(hashes)} verdicts rest on an earlier form of their rule")


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
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--trail", type=Path, metavar="FILE", help="an export of the tenant's whole audit trail")
    arguments = parser.parse_args()
    try:
        proof, record, verdicts = (
            json.loads((FOLDER / f"{name}.json").read_text("ascii")) for name in ("proof", "record", "verdicts")
        )
        check_files(arguments.trail)
        check_record(proof, record)
        check_verdicts(proof, verdicts)
        check_entries(proof)
        if arguments.trail:
            check_trail(proof, arguments.trail)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"cannot be verified: {type(error).__name__} {error}", file=sys.stderr)
        return 1 if wrong else 2
    if not arguments.trail:
        print("note   this was not compared with the tenant's whole audit trail: see --trail")
    signature = "was not verified: README.txt says how" if proof["checkpoint"] else "is not there: none was signed"
    print(f"note   the signature of a checkpoint {signature}")
    print("DIFFERENCES FOUND" if wrong else "no difference found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
