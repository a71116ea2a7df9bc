"""Builds the archive: each file from the same contents, in a fixed order, with fixed times and permissions.

The files are not compressed. Different builds of zlib compress to different bytes, but equal states must give equal
archives on every machine.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from verifywise_mlflow.artifacts.model_signing.statement import NotExportableError, export_statement
from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.documents.clause_documents.files import document_files
from verifywise_mlflow.documents.html.rendering import render_document
from verifywise_mlflow.documents.pack.cyclonedx import cyclonedx_json
from verifywise_mlflow.documents.pack.json_text import pretty
from verifywise_mlflow.documents.pack.model_card import model_card_json, model_card_markdown
from verifywise_mlflow.documents.pack.proof import proof_json
from verifywise_mlflow.documents.pack.readme import readme
from verifywise_mlflow.documents.pack.spdx import spdx_json
from verifywise_mlflow.documents.pack.state_files import event_lines, history_lines, record_json, verdicts_json
from verifywise_mlflow.documents.pdf.rendering import render_pdf
from verifywise_mlflow.documents.version.page import version_document
from verifywise_mlflow.exports.json_documents.proofs import StateProofDocument
from verifywise_mlflow.services.evidence_pack import PackContents

_ABOUT: Final[Mapping[str, str]] = {
    "README.txt": "This text.",
    "index.html": "What MLflow shows of the version, in plain words. A page of its own, for a browser or a printer.",
    "index.pdf": "The same on paper.",
    "model-card.md": "A model card in the form of Hugging Face.",
    "model-card.json": "A model card in schema 0.0.2 of the Model Card Toolkit.",
    "bom.cdx.json": "A bill of materials in CycloneDX 1.6: model card, data sets, files with hashes, packages.",
    "spdx.json": "The same in SPDX 3.0.1, with the profiles AI and Dataset.",
    "manifest.oms.json": "The model's files and hashes as an OpenSSF Model Signing statement, to compare with others.",
    "record.json": "The canonical record: each field, where its value comes from, and what could not be read.",
    "verdicts.json": "The badge, each verdict with the values it rests on, the rules in full, waivers, and clauses.",
    "history.jsonl": "Each change of the record, of a verdict and of the badge; one per line, oldest first.",
    "events.jsonl": "What happened: stages, aliases, files that changed in place; one event per line.",
    "proof.json": "Hashes that verify.py recomputes, and what the audit trail has about this version.",
    "state-proof.json": "The proof that the audit trail commits the record, the verdicts and the badge.",
    "verify.py": "Checks this pack offline.",
    "verify_proof.py": "Verifies state-proof.json, for verify.py or alone: a script to read before it is trusted.",
    "SHA256SUMS": "The SHA-256 of each file.",
}
_STATEMENT: Final = "manifest.oms.json"
_STATE_PROOF: Final = "state-proof.json"
_FIRST_ZIP_YEAR: Final = 1980
_MODE: Final = 0o100644
_EXECUTABLE_MODE: Final = 0o100755


def build_pack(contents: PackContents, frameworks: Sequence[Framework] = ()) -> bytes:
    """Return the archive."""
    return archive_of(pack_files(contents, frameworks), contents.dossier.as_of)


def pack_files(contents: PackContents, frameworks: Sequence[Framework] = ()) -> Mapping[str, bytes]:
    """Return the files of the archive by name. For each framework, there is a document in the order of the clauses."""
    others, left_out = _other_files(contents, frameworks)
    described = {
        name: _ABOUT.get(name) or "A document in the order of a framework's clauses, with blanks for people to fill."
        for name in ("README.txt", "index.html", "index.pdf", *others, "SHA256SUMS")
    }
    document = version_document(contents.dossier, contents.facts)
    packed = {
        "README.txt": readme(contents, described, left_out),
        "index.html": render_document(document, described).encode(),
        "index.pdf": render_pdf(document),
        **others,
    }
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in packed.items())
    return {**packed, "SHA256SUMS": sums.encode("ascii")}


def archive_of(packed: Mapping[str, bytes], at: datetime) -> bytes:
    """Return files as an archive. All files have fixed permissions and the same time."""
    buffer = io.BytesIO()
    moment = at.astimezone(UTC)
    date_time = moment.timetuple()[:6] if moment.year >= _FIRST_ZIP_YEAR else (_FIRST_ZIP_YEAR, 1, 1, 0, 0, 0)
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in packed.items():
            entry = zipfile.ZipInfo(name, date_time)
            entry.create_system = 3  # Unix, so that the permissions count
            entry.external_attr = (_EXECUTABLE_MODE if name.endswith(".py") else _MODE) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _other_files(
    contents: PackContents, frameworks: Sequence[Framework]
) -> tuple[Mapping[str, bytes], Mapping[str, str]]:
    """Return all files that do not list other files, and the reasons why files are left out."""
    known = contents.dossier
    packed: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    for framework in frameworks:
        written = document_files(known, framework, contents.facts)
        assert not written.keys() & (packed.keys() | _ABOUT.keys())
        packed |= {name: text.encode() for name, text in written.items()}
    packed |= {
        "model-card.md": model_card_markdown(known),
        "model-card.json": model_card_json(known),
        "bom.cdx.json": cyclonedx_json(contents),
        "spdx.json": spdx_json(contents),
    }
    if known.manifest is None:
        left_out[_STATEMENT] = "No list of files is recorded."
    else:
        try:
            packed[_STATEMENT] = export_statement(known.manifest) + b"\n"
        except NotExportableError as error:
            left_out[_STATEMENT] = f"It would have to name each file of the model with its hash, but {error}."
    packed |= {
        "record.json": record_json(contents),
        "verdicts.json": verdicts_json(contents),
        "history.jsonl": history_lines(contents),
        "events.jsonl": event_lines(contents),
        "proof.json": proof_json(contents),
    }
    scripts = ["verify.py"]
    if contents.proof is None:
        left_out[_STATE_PROOF] = f"The audit trail does not prove this state: {contents.unproved}."
    else:
        packed[_STATE_PROOF] = pretty(StateProofDocument.of(contents.proof).to_json())
        scripts.append("verify_proof.py")
    packed |= {name: (files("verifywise_mlflow.documents.pack") / name).read_bytes() for name in scripts}
    return packed, left_out
