"""The evidence file of a version: its record, its verdicts and its manifest, as Markdown.

All texts of customers are escaped or in code spans, so that no link, image or HTML in them has an effect. Equal states
give equal bytes, since a file is sent only when its digest changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.markdown import code_span, escape_markdown
from verifywise_mlflow.compliance.badge import VERSION_RULE
from verifywise_mlflow.delivery.verifywise.texts import cut, slug
from verifywise_mlflow.normalizer.record import FIELDS_BY_GROUP
from verifywise_mlflow.persistence.queries.delivery_states import DeliveryState, StatedVerdict

MEDIA_TYPE: Final = "text/markdown"
MAX_FILES: Final = 500
"""The maximum number of files that the document lists."""
MAX_VALUE_CHARACTERS: Final = 2_000
_IN_OWN_SECTION: Final = frozenset(("artifact_manifest", "evidence_files"))
_ORDER: Final = ("fail", "error", "not evidenced", "not read", "pass", "not applicable")


@dataclass(frozen=True, slots=True)
class EvidenceDocument:
    """A document to upload."""

    filename: str
    """The name contains the digest, so a file of this name has this content."""
    content: bytes
    digest: str


def evidence_document(
    tenant_id: str, state: DeliveryState, titles: Mapping[str, str], policies: Mapping[str, str], page_url: str
) -> EvidenceDocument:
    """Return the document of a version.

    Args:
        tenant_id: The tenant.
        state: The version's current state.
        titles: Rule id to what the rule requires.
        policies: The policies from which the verdicts follow, with their versions.
        page_url: The version's page in MLflow.
    """
    content = ("\n".join(_lines(tenant_id, state, titles, policies, page_url)) + "\n").encode("utf-8", "replace")
    digest = hashlib.sha256(content).hexdigest()
    record = state.record
    name = slug(f"{record.model_name} v{record.version_number}", 80)
    return EvidenceDocument(f"mlflow-{name}-{digest[:16]}.md", content, digest)


def _lines(
    tenant_id: str, state: DeliveryState, titles: Mapping[str, str], policies: Mapping[str, str], page_url: str
) -> Iterator[str]:
    record = state.record
    yield f"# Governance evidence: {escape_markdown(record.model_name)} version {record.version_number}"
    yield ""
    yield f"- Tenant: {code_span(tenant_id)}"
    yield f"- Page in MLflow: {code_span(page_url)}"
    yield f"- Badge: **{escape_markdown(state.badge)}**"
    yield f"- Policies: {', '.join(code_span(f'{name} {version}') for name, version in sorted(policies.items()))}"
    yield f"- Newest verdict: {_time(state.judged_at)}"
    if state.unread:
        yield f"- Could not be read completely: {', '.join(map(code_span, state.unread))}"
    yield ""
    yield f"A version is {escape_markdown(VERSION_RULE)}"
    yield ""
    yield (
        "It was made by verifywise-mlflow from what MLflow shows. A badge or a verdict does not say that a model is "
        "compliant: people decide that."
    )
    yield from _verdict_lines(state.verdicts, titles)
    for group, fields in FIELDS_BY_GROUP.items():
        yield from ("", f"## {escape_markdown(str(group))}", "")
        for field in fields:
            if field not in _IN_OWN_SECTION:
                yield f"- {escape_markdown(field)}: {_value(getattr(record, field))}"
    yield from _manifest_lines(record.artifact_manifest)


def _verdict_lines(verdicts: Sequence[StatedVerdict], titles: Mapping[str, str]) -> Iterator[str]:
    yield from ("", "## Verdicts", "")
    for verdict in sorted(verdicts, key=_verdict_order):
        title = titles.get(verdict.rule_id)
        yield (
            f"- **{escape_markdown(verdict.verdict)}** {code_span(verdict.rule_id)}"
            f"{f' ({escape_markdown(title)})' if title else ''}: {code_span(verdict.reason)} "
            f"Since {_time(verdict.evaluated_at)}."
        )
        if verdict.waiver:
            yield f"  - Waived: {code_span(verdict.waiver.sentence)}"


def _verdict_order(verdict: StatedVerdict) -> tuple[int, str]:
    return (_ORDER.index(verdict.verdict) if verdict.verdict in _ORDER else 0, verdict.rule_id)


def _manifest_lines(manifest: Json) -> Iterator[str]:
    yield from ("", "## Artifact manifest", "")
    if not isinstance(manifest, Mapping):
        yield "- No manifest was read."
        return
    for name in ("location", "status", "reason", "digest", "file_count", "total_bytes", "hashed_count"):
        yield f"- {escape_markdown(name)}: {_value(manifest.get(name))}"
    files = manifest.get("files")
    entries = [file for file in files if isinstance(file, Mapping)] if isinstance(files, list) else []
    for file in entries[:MAX_FILES]:
        sha256 = file.get("sha256")
        hashed = f"SHA-256 {code_span(str(sha256))}" if sha256 else "not hashed"
        yield f"- {code_span(str(file.get('path')))}: {_value(file.get('size'))} bytes, {hashed}"
    if len(entries) > MAX_FILES:
        yield f"- {len(entries) - MAX_FILES:,} more files"


def _value(value: object) -> str:
    match value:
        case None:
            return "not shown by MLflow"
        case datetime():
            return _time(value)
        case str():
            text = value
        case _:
            text = json.dumps(value, sort_keys=True, default=str)  # a metric may be NaN
    return code_span(cut(text, MAX_VALUE_CHARACTERS)) or "empty"


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else "none"
