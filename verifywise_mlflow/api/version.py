"""One version with its record and verdicts, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from verifywise_mlflow.api.errors import NotFoundError
from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.badge import BADGE_WORDS
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.normalizer.unread_object import unread_objects_from_json
from verifywise_mlflow.persistence.queries.records_begin import describe_records_begin
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.version_dossier import JudgedRule, VersionDossier, dossier
from verifywise_mlflow.services.version_references import require_recorded, resolve_version


class Verdict(BaseModel):
    """A rule's verdict on a version."""

    model_config = ConfigDict(**DESCRIBED, frozen=True, ser_json_inf_nan="strings")

    rule_id: str
    """The rule's ID in its policy."""
    title: str
    """The rule's requirement; empty for a rule that the tenant's policies do not have."""
    severity: str
    """critical, high, medium or low; empty for a rule that the tenant's policies do not have."""
    verdict: str
    """pass, fail, not evidenced, not read, not applicable or error."""
    reason: str
    """The reason for the verdict."""
    since: datetime
    """The time since which the verdict has been the same, UTC."""
    open_since: datetime | None
    """The time since which the gap has been open without interruption, UTC; None if there is no open gap. A verdict
    ``not read`` does not close a gap."""
    waiver: str | None
    """Who accepts the gap, until when and why; None if nobody accepts it."""
    clauses: tuple[str, ...]
    """The clauses that the rule gives evidence for, such as ``EU AI Act Art. 10(2)(b)``."""


class VersionRecord(BaseModel):
    """What was known of a version at a given time."""

    model_config = ConfigDict(**DESCRIBED, frozen=True, ser_json_inf_nan="strings")

    tenant: str
    """The tenant's name in tenants.yaml."""
    model_name: str
    """The registered model."""
    version_number: int
    """The version's number."""
    as_of: datetime
    """The time of the state that this object describes, UTC."""
    fields: Mapping[str, JsonValue | datetime | date]
    """The canonical record: each field with its value; None for a field without a value."""
    origins: Mapping[str, Mapping[str, object]]
    """For each value, the tag, alias or attribute that it came from."""
    findings: tuple[str, ...]
    """Sentences about values that look wrong."""
    unread: tuple[str, ...]
    """Sentences about what could not be read. If there are any, a missing value may exist in MLflow."""
    badge: Annotated[str | None, Field(description=f"{BADGE_WORDS}; None if the version had not been evaluated.")]
    verdicts: tuple[Verdict, ...]
    """The verdicts in order of importance: gaps before other verdicts, then by severity."""
    valid_from: datetime
    """The time since which the record has been the same, UTC."""
    deleted_at: datetime | None
    """The time since which MLflow no longer had the version, UTC; None if the version existed."""

    def __getitem__(self, field: str) -> JsonValue | datetime | date:
        """Return the value of a field of the record."""
        return self.fields[field]

    @property
    def gaps(self) -> tuple[Verdict, ...]:
        """The verdicts that are gaps, waived ones included."""
        return tuple(verdict for verdict in self.verdicts if verdict.open_since is not None)


def known_version(session: TenantSession, model: str, version: int | str, at: datetime) -> VersionDossier:
    """Return what was known of a version at a given time.

    Raises:
        UnresolvedNameError: there is no such version.
        NotFoundError: nothing was recorded of it by that time.
    """
    key = (model, resolve_version(session, model, str(version), at))
    known = dossier(session, key, at)
    if known is None:
        require_recorded(session, key)
        raise NotFoundError(
            f"there is no record of {quote(model)} version {key[1]} of the tenant {quote(session.tenant_id)} as of "
            f"{utc_text(at)}; {describe_records_begin(session)}"
        )
    return known


def version_record(known: VersionDossier) -> VersionRecord:
    """Return a dossier as the record that the API returns."""
    state = known.state
    return VersionRecord(
        tenant=known.tenant_id,
        model_name=state.record.model_name,
        version_number=state.record.version_number,
        as_of=known.as_of,
        fields={field: getattr(state.record, field) for field in FIELDS},
        origins=state.origins,
        findings=tuple(str(finding.get("sentence")) for finding in state.findings),
        unread=tuple(
            sentence for unread in unread_objects_from_json(state.incomplete) for sentence in unread.sentences
        ),
        badge=known.badge.badge if known.badge else None,
        verdicts=tuple(map(_verdict, known.rules)),
        valid_from=state.span.valid_from,
        deleted_at=state.deleted_at,
    )


def _verdict(judged: JudgedRule) -> Verdict:
    return Verdict(
        rule_id=judged.verdict.rule_id,
        title=judged.rule.title,
        severity=judged.rule.severity,
        verdict=judged.verdict.verdict,
        reason=judged.verdict.reason,
        since=judged.verdict.span.valid_from,
        open_since=judged.open_since if judged.is_gap else None,
        waiver=judged.waiver.waiver.sentence if judged.waiver else None,
        clauses=tuple(f"{cited.framework.name} {cited.clause.id}" for cited in judged.clauses),
    )
