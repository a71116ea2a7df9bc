"""Finds out which verdict or badge of an evaluation was changed, removed or added.

The log has only one hash of an evaluation. So the search reverts likely changes, up to ``MAX_CHANGES`` together, until
the content has the logged hash again. It tries other words for a verdict or the badge, fewer or more verdicts, and
other ends of a verdict. If the rules of that time are known, the search first tries all verdicts that they give. The
search can fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries.stored_states import StoredVerdict
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.state_contents import VERDICT_COLUMNS
from verifywise_mlflow.services.record_verification.evaluations import Evaluation, Parts
from verifywise_mlflow.services.record_verification.field_search import combination_with
from verifywise_mlflow.services.record_verification.judging import DerivedVerdicts
from verifywise_mlflow.services.record_verification.report import DamageKind, FieldChange, RecordDamage


@dataclass(frozen=True, slots=True)
class _Edit:
    """One change that the search reverts."""

    damages: Sequence[RecordDamage]
    verdicts: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """The cells of each verdict after the revert, by rule; None if there is no verdict then."""
    kept: Mapping[str, str | None] = field(default_factory=dict)
    badge: str | None = None
    used: object = None
    """The verdict of the tables that matches no evaluation in the log, if this change explains it."""

    @property
    def places(self) -> set[str]:
        """The rules whose verdicts the revert changes; an empty text for the badge."""
        return {*self.verdicts, *self.kept, *(("",) if self.badge is not None else ())}


def explain_evaluation(
    key: Key,
    evaluation: Evaluation,
    derived: DerivedVerdicts | None,
    others: Sequence[StoredVerdict],
) -> tuple[list[RecordDamage], list[object]]:
    """Return the damaged rows of an evaluation that was logged with another content.

    If the search fails, return unproved suspects, or one damage of the whole evaluation.

    Args:
        key: The version.
        evaluation: The evaluation in the log, with its verdicts and badge in the tables.
        derived: The verdicts that the rules give on the record of that time.
        others: All other verdicts on the version, present and former.

    Returns:
        The damages, and the verdicts of ``others`` that the damages explain.
    """
    parts, expected = evaluation.parts(), evaluation.logged.content
    search = _Search(key, evaluation)
    edits = [*search.edits(derived, others)]

    def is_right(chosen: Sequence[_Edit]) -> bool:
        return _applied(parts, chosen).content() == expected

    if derived and is_right([whole := search.as_derived(derived)]):
        return [*whole.damages], []
    found = combination_with(edits, is_right, _are_independent)
    if found is None:
        return search.unexplained(derived), []
    damages = [damage for edit in found for damage in edit.damages]
    return damages, [edit.used for edit in found if edit.used is not None]


def _applied(parts: Parts, edits: Sequence[_Edit]) -> Parts:
    verdicts: dict[str, tuple[str, ...] | None] = {**parts.verdicts}
    kept: dict[str, str | None] = {**parts.kept}
    badge = parts.badge
    for edit in edits:
        verdicts |= edit.verdicts
        kept |= edit.kept
        badge = badge if edit.badge is None else edit.badge
    return Parts(
        {rule_id: cells for rule_id, cells in verdicts.items() if cells is not None},
        {rule_id: fingerprint for rule_id, fingerprint in kept.items() if fingerprint is not None},
        badge,
    )


def _are_independent(edits: Sequence[_Edit]) -> bool:
    places = [place for edit in edits for place in edit.places]
    return len(places) == len({*places})


@dataclass(frozen=True, slots=True)
class _Search:
    key: Key
    evaluation: Evaluation

    def edits(self, derived: DerivedVerdicts | None, others: Sequence[StoredVerdict]) -> Iterator[_Edit]:
        """Yield single changes in the order in which they are tried."""
        yield from self._badge_edits()
        if derived:
            yield from (
                self._derived_edit(rule_id, derived) for rule_id in derived.rows if self._differs(rule_id, derived)
            )
        yield from self._word_edits()
        yield from self._end_edits(others)
        for rule_id, verdict in self.evaluation.begun.items():
            damage = self._damage("added", verdict.table, rule_id, "no evaluation in the log gave this verdict")
            yield _Edit([damage], verdicts={rule_id: None})

    def as_derived(self, derived: DerivedVerdicts) -> _Edit:
        """Return the change that sets all verdicts and the badge to the results of the rules."""
        edits = [self._derived_edit(rule_id, derived) for rule_id in derived.rows if self._differs(rule_id, derived)]
        edits += [edit for edit in self._badge_edits() if edit.badge == derived.badge]
        merged = _Edit([damage for edit in edits for damage in edit.damages])
        verdicts = {rule_id: cells for edit in edits for rule_id, cells in edit.verdicts.items()}
        return _Edit(merged.damages, verdicts, badge=derived.badge)

    def unexplained(self, derived: DerivedVerdicts | None) -> list[RecordDamage]:
        """Return the damages that can be stated if no tried change gives the logged hash."""
        evaluation = self.evaluation
        if not evaluation.begun:
            sentence = "an evaluation was logged, and none of the verdicts that it gave is stored any more"
            return [self._damage("removed", "version_verdict_history", "", sentence)]
        if derived:
            suspects = [rule_id for rule_id in evaluation.begun if self._differs(rule_id, derived)]
            if suspects:
                return [self._derived_edit(rule_id, derived, is_proved=False).damages[0] for rule_id in suspects]
        table = next(iter(evaluation.begun.values())).table
        sentence = (
            f"the badge, the {len(evaluation.begun):,} verdicts that began with this evaluation and the "
            f"{len(evaluation.kept):,} that stayed are not those that were logged. The log has one hash for all of "
            "them, so it does not show which one was changed, removed or added"
        )
        return [self._damage("changed", table, "", sentence)]

    def _differs(self, rule_id: str, derived: DerivedVerdicts) -> bool:
        begun = self.evaluation.begun.get(rule_id)
        if begun is None:
            return rule_id not in self.evaluation.kept
        return begun.cells != derived.rows[rule_id]

    def _badge_edits(self) -> Iterator[_Edit]:
        badge = self.evaluation.badge
        logged = self.evaluation.logged
        has_begun = badge is not None and (badge.written_at, badge.sync_id) == (logged.written_at, logged.sync_id)
        for word in ("", *(word.value for word in Badge)):
            if word == (badge.badge if badge else ""):
                continue
            if badge and has_begun and word:
                changes = [FieldChange("badge", badge.badge, word, is_proved=True)]
                damage = self._damage("changed", badge.table, "", f"the badge was {word!r}", changes)
            elif word:
                sentence = f"the badge {word!r} was logged, and no row has it any more"
                table = "compliance_badges" if badge is None else "compliance_badge_history"
                damage = self._damage("removed", table, "", sentence)
            else:
                assert badge is not None
                damage = self._damage("added", badge.table, "", "no badge was in force since this evaluation")
            yield _Edit([damage], badge=word)

    def _derived_edit(self, rule_id: str, derived: DerivedVerdicts, *, is_proved: bool = True) -> _Edit:
        row, begun = derived.rows[rule_id], self.evaluation.begun.get(rule_id)
        written = dict(zip(VERDICT_COLUMNS, row, strict=True))
        if begun is None:
            sentence = f"the verdict {row.verdict!r} was logged, and no row has it any more"
            damage = self._damage("removed", "version_verdicts", rule_id, sentence)
        else:
            stored = dict(zip(VERDICT_COLUMNS, begun.cells, strict=True))
            changes = [
                FieldChange(name, stored[name], cell, is_proved)
                for name, cell in written.items()
                if cell != stored[name]
            ]
            word = "was" if is_proved else "should be"
            sentence = f"the verdict {word} {row.verdict!r}"
            damage = self._damage("changed", begun.table, rule_id, sentence, changes)
        return _Edit([damage], verdicts={rule_id: row})

    def _word_edits(self) -> Iterator[_Edit]:
        place = VERDICT_COLUMNS.index("verdict")
        for rule_id, verdict in self.evaluation.begun.items():
            for word in Verdict:
                if word.value != verdict.verdict:
                    cells = (*verdict.cells[:place], word.value, *verdict.cells[place + 1 :])
                    changes = [FieldChange("verdict", verdict.verdict, word.value, is_proved=True)]
                    damage = self._damage("changed", verdict.table, rule_id, f"the verdict was {word.value!r}", changes)
                    yield _Edit([damage], verdicts={rule_id: cells})

    def _end_edits(self, others: Sequence[StoredVerdict]) -> Iterator[_Edit]:
        """Yield other beginnings and ends of verdicts."""
        logged = self.evaluation.logged
        for rule_id, verdict in self.evaluation.kept.items():
            changes = [FieldChange("valid_to", _time(verdict), logged.written_at.isoformat(), is_proved=True)]
            damage = self._damage("changed", verdict.table, rule_id, "the verdict ended with this evaluation", changes)
            yield _Edit([damage], kept={rule_id: None})
        for verdict in others:
            rule_id = verdict.rule_id
            if rule_id in self.evaluation.begun or rule_id in self.evaluation.kept:
                continue
            stored = verdict.written_at.isoformat()
            if verdict.written_at < logged.written_at:
                changes = [FieldChange("valid_to", _time(verdict), is_proved=True)]
                sentence = "the verdict had not ended with this evaluation"
                damage = self._damage("changed", verdict.table, rule_id, sentence, changes)
                yield _Edit([damage], kept={rule_id: verdict.fingerprint})
            changes = [FieldChange("evaluated_at", stored, logged.written_at.isoformat(), is_proved=True)]
            if verdict.sync_id != logged.sync_id:
                changes.append(FieldChange("sync_id", verdict.sync_id, logged.sync_id, is_proved=True))
            damage = self._damage("changed", verdict.table, rule_id, "this evaluation gave the verdict", changes)
            yield _Edit([damage], verdicts={rule_id: verdict.cells}, used=verdict)

    def _damage(
        self, kind: DamageKind, table: str, row: str, sentence: str, changes: Sequence[FieldChange] = ()
    ) -> RecordDamage:
        logged = self.evaluation.logged
        return RecordDamage(kind, table, sentence, *self.key, row, logged.written_at, logged.sync_id, tuple(changes))


def _time(verdict: StoredVerdict) -> str | None:
    return verdict.ended_at.isoformat() if verdict.ended_at else None
