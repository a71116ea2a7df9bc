"""The file ``README.txt``: what is in the pack, how to check it offline, and what each check proves."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill, indent
from typing import Final

from verifywise_mlflow import __version__
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.blocks import shorten, show_time
from verifywise_mlflow.services.evidence_pack import PackContents

_WIDTH: Final = 96

_CHECKS: Final = """\
CHECK IT OFFLINE

    python3 verify.py

It needs Python 3.9 or later and nothing else: no network, no package, no database. Read it before
you trust it: it is one short file. Its first check is also that of "sha256sum -c SHA256SUMS".

WHAT PROVES WHAT

1. The files are those that were packed: SHA256SUMS has the hash of each. A person who can replace
   the pack can replace SHA256SUMS as well. Note the hash of the archive where nobody can change it.

2. record.json has not changed since proof.json was made, which has its hash. This, too, is a
   statement of the pack about itself. The next check is not.

3. The record, the verdicts and the badge are those that a sync stored, and they were the newest
   ones at the time of the state, if this pack has a state-proof.json. Each state that a sync stores
   is a leaf of a Merkle tree (RFC 9162), whose root is in the audit trail, and a checkpoint signs
   the trail. Verify it with the operator's public key, which you have from somewhere else than this
   pack; it needs the package cryptography:

       python3 verify.py --public-key public.pem

   The key may lie in the folder of the pack. Tenant, model, version and time are compared with the
   proof. So are all fields of the record, with their origins, the objects that could not be read,
   the findings and the deletion; the badge; and of each verdict the reason, values, origins,
   thresholds, day, input hash and versions of rule and policy. The script prints "NOT proved" for
   the rest. These lines do not change the exit code. Exit code 4 comes with one of these lines:

   - NOT SIGNED: the pack was made before a checkpoint was signed. Require one that was made later.
   - NOT PROVED: the proof ends before the time of the pack, or has no verdicts and no badge.
   - NO SYNC COMMITTED: a person accepted a state that no sync committed.

   verify_proof.py alone says what was known, and on which day:

       python3 verify_proof.py state-proof.json --public-key public.pem

   Checkpoints that you saved, given with --checkpoint, must cover this file. If none of them is
   over an entry in it, the exit code is 4: the operator can write a proof that your checkpoint
   covers ("audit prove" with --checkpoint).

4. Each verdict follows from the rule, thresholds, values and day that verdicts.json states: their
   hash is the one that was stored when the verdict was given. If the rule has changed since then,
   the script names it with NOT proved. It does not prove that MLflow showed these values.

5. The audit entries in proof.json are unchanged and, where they are neighbors, linked: the hash of
   each is recomputed. Entries about other models are not in this pack, so the chain has gaps here.

6. These entries are in the tenant's audit trail, at their places, if an export of the whole trail
   has them:

       verifywise-mlflow audit export TENANT --output trail.jsonl
       python3 verify.py --trail trail.jsonl

   The export may lie in the folder of the pack. Another file that was not packed is a difference,
   but for hidden files (.DS_Store, Thumbs.db).

7. The trail was not rewritten after a checkpoint was signed:

       python3 tools/verify_audit_export.py trail.jsonl --public-key public.pem --checkpoint saved.jsonl

   The tool is in the source of verifywise-mlflow. It succeeds only with a checkpoint that you have
   from somewhere else than the operator's database: if the end of the trail was cut off after a
   checkpoint, nothing in the trail itself shows that.

WHAT NOTHING HERE PROVES

- That the operator's program was not changed, or the key not misused: who has the database and the
  key can store and sign what he likes. Only checkpoints that others keep show that it was changed
  later.
- What happened between two syncs, and that the operator's clock was right.
- The waivers, the clauses, the policy, the titles and severities of rules, and the times since when
  a record, verdict, badge or gap holds, in verdicts.json and record.json; and the reasons why a
  field has no value.
- index.html, index.pdf, the model cards, the bills of materials, the documents of frameworks,
  manifest.oms.json, history.jsonl and events.jsonl: they are made of the record and of other rows,
  and no proof of those rows is in this pack. Where they differ from record.json or verdicts.json,
  believe these.
- That what people wrote into MLflow is true, that somebody who is named did decide, or that a file
  is what its name says.
- That the files in MLflow still have these hashes. Compare them with record.json or
  manifest.oms.json.
- Anything under "What cannot be known from MLflow" in index.html.
"""


def readme(contents: PackContents, files: Mapping[str, str], left_out: Mapping[str, str]) -> bytes:
    """Return the text.

    Args:
        contents: What is packed.
        files: A description of each file, by its name.
        left_out: The reason why the pack lacks a file, by the file's name.
    """
    known = contents.dossier
    record = known.record
    parts = [
        "EVIDENCE PACK",
        "",
        f"Model    {escape_invisible(shorten(record.model_name, 300))}, version {record.version_number}",
        f"Tenant   {escape_invisible(known.tenant_id)}",
        f"State    as of {show_time(known.as_of)} ({known.as_of.isoformat()})",
        f"Made by  verifywise-mlflow {__version__}. The same state gives the same bytes again with this release.",
        "",
        fill(
            "Open index.html in a browser, or index.pdf: both say in plain words what MLflow shows of this version, "
            "and what it does not. The other files are for programs and for checks.",
            _WIDTH,
        ),
        "",
        "FILES",
        "",
        *(_described(name, about) for name, about in files.items()),
    ]
    if left_out:
        parts += ["", "NOT IN THIS PACK", "", *(_described(name, reason) for name, reason in left_out.items())]
    return ("\n".join([*parts, "", _CHECKS])).encode()


def _described(name: str, about: str) -> str:
    return f"{name}\n{indent(fill(escape_invisible(about), _WIDTH - 4), '    ')}"
