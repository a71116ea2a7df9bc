"""Conditions on canonical records and badges for the versions that the inventory and the list of gaps show."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ARRAY, ColumnElement, String, case, cast, func, literal, or_, select
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import JSON, JSONB

from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges

ROWS_PER_FETCH: Final = 1_000
"""The number of rows of a list that are in memory at a time."""

NOT_EVALUATED: Final = "not evaluated"
"""The value in place of the badge of a version that was not evaluated yet."""

OPTIONAL_FIELDS: Final = tuple(name for name, spec in FIELD_SPECS.items() if not spec.is_key)
"""The fields of a record that may be missing."""


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """Which versions to list.

    The values of one field are alternatives. If several fields have values, all these fields must match.

    Models, stages, owners, risks and libraries are compared ignoring case; ``*`` matches any characters, and ``?``
    matches one character.
    """

    models: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    badges: tuple[str, ...] = ()
    """Badges, and ``not evaluated``."""
    missing: tuple[str, ...] = ()
    """Fields of the record. A version matches if one of these fields has no value."""
    libraries: tuple[str, ...] = ()
    """MLflow's flavors, such as ``sklearn``."""
    includes_deleted: bool = False
    """Whether versions that MLflow no longer has are listed."""

    @property
    def is_about_versions(self) -> bool:
        """Whether a model without versions cannot match."""
        return any((self.stages, self.owners, self.risks, self.badges, self.missing, self.libraries))


def version_conditions(wanted: VersionFilter) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions on ``canonical_records`` joined to ``compliance_badges``, apart from the tenant."""
    records = canonical_records.c
    if not wanted.includes_deleted:
        yield records.deleted_at.is_(None)
    for stored, globs in (
        (records.model_name, wanted.models),
        (records.lifecycle_stage, wanted.stages),
        (records.owner, wanted.owners),
        (records.risk_category, wanted.risks),
    ):
        if globs:
            yield matches_glob(stored, globs)
    if wanted.badges:
        yield func.coalesce(compliance_badges.c.badge, literal(NOT_EVALUATED)).in_(wanted.badges)
    if wanted.missing:
        yield or_(*(_has_no_value(name) for name in wanted.missing))
    if wanted.libraries:
        flavor = _flavor_rows()
        yield select(flavor).where(matches_glob(flavor, wanted.libraries)).exists()


def matches_glob(text: ColumnElement[Any], globs: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a text matches one of some globs, ignoring case."""
    plain = cast(text, PlainText)
    return or_(*(plain.ilike(literal(_like_pattern(glob), String)) for glob in globs))


def is_any_of(text: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a text is one of some values.

    The values are passed as one array, since there may be thousands.
    """
    return cast(text, PlainText) == func.any(cast([escape(value) for value in values], ARRAY(PlainText)))


def flavors() -> ColumnElement[Sequence[str]]:
    """Return the names of a record's MLflow flavors, sorted, as an array of stored texts."""
    flavor = _flavor_rows()
    return func.array(select(flavor).order_by(flavor).scalar_subquery())


def _flavor_rows() -> ColumnElement[str]:
    stored = cast(canonical_records.c.runtime_environment["flavors"], JSONB)
    objects = case((func.jsonb_typeof(stored) == "object", stored), else_=cast(literal("{}"), JSONB))
    return func.jsonb_object_keys(objects, type_=PlainText).column_valued("flavor")


def _has_no_value(name: str) -> ColumnElement[bool]:
    stored = canonical_records.c[name]
    if isinstance(stored.type, JSON):
        return or_(stored.is_(None), cast(stored, JSONB).in_(([], {})))
    return stored.is_(None)


def _like_pattern(glob: str) -> str:
    # LIKE has % for any characters, _ for one character, and \ as the escape.
    pattern = escape(glob)
    for character, replacement in (("\\", "\\\\"), ("%", "\\%"), ("_", "\\_"), ("*", "%"), ("?", "_")):
        pattern = pattern.replace(character, replacement)
    return pattern
