"""Compares the states of some versions in the log with the states in the tables, and describes each damaged row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from operator import itemgetter
from typing import Final

from verifywise_mlflow.persistence.queries import state_keys, state_rows
from verifywise_mlflow.persistence.queries.stored_states import StoredVerdict, StoredVerdicts
from verifywise_mlflow.persistence.queries.tenant_state_rows import TENANT_KINDS
from verifywise_mlflow.persistence.queries.verdict_rows import verdict_rows
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    VERDICT_COLUMNS,
    record_content,
    row_content,
)
from verifywise_mlflow.services.record_verification.damages import (
    GONE,
    NOT_LOGGED,
    damage_of,
    damage_of_state,
    damage_of_verdict,
)
from verifywise_mlflow.services.record_verification.evaluation_search import explain_evaluation
from verifywise_mlflow.services.record_verification.evaluations import Replay, replay
from verifywise_mlflow.services.record_verification.field_search import (
    Cells,
    SearchLimit,
    changed_fields,
    columns_of_others,
)
from verifywise_mlflow.services.record_verification.judging import DerivedVerdicts, Judge, is_input_hash_right
from verifywise_mlflow.services.record_verification.matching import (
    Mismatch,
    changed_times,
    in_log_order,
    mismatches,
    mismatches_with_history,
    span_changes,
    with_logged_syncs,
    with_moved_times,
)
from verifywise_mlflow.services.record_verification.report import Checked, FieldChange, RecordDamage
from verifywise_mlflow.services.record_verification.version_states import VersionStates
from verifywise_mlflow.services.record_verification.witnesses import possible_event_cells, values_read_by_rules

RebuildRecords = Callable[[TenantSession, Sequence[Key]], Mapping[Key, Cells]]
"""Builds the records of versions again, from the rows that were read from MLflow, with the present mapping."""

_TABLES: Final = {
    "record": "canonical_records",
    "manifest": "artifact_manifests",
    "lifecycle event": "lifecycle_events",
    "integrity event": "integrity_events",
}
_PLACES: Final = {name: place for place, name in enumerate(VERDICT_COLUMNS)}


@dataclass(slots=True)
class VersionChecker:
    """Compares versions, batch by batch, in one transaction."""

    session: TenantSession
    judge: Judge
    judges_all: bool = False
    """Whether each verdict is evaluated again."""
    rebuild: RebuildRecords | None = None
    limit: SearchLimit = field(default_factory=SearchLimit)
    checked: Checked = field(default_factory=Checked)
    _damages: list[RecordDamage] = field(default_factory=list)

    def check(self, ranges: Sequence[VersionRange]) -> list[RecordDamage]:
        """Return the damaged rows of some versions. A row that cannot be read counts as damaged, too."""
        checked = Checked()
        try:
            states = self._read(ranges, checked)
        except (ValueError, OverflowError, TypeError) as error:
            self._damages.clear()
            return self._check_halves(ranges, error)
        checked.versions = sum(number > 0 for _, number in states)
        for key, of_version in states.items():
            if not of_version.has_one_evaluation:
                self._drop_malformed_verdicts(key, of_version)
            self._check_records(key, of_version)
            self._check_manifest(key, of_version)
            self._check_events(key, of_version)
            if not of_version.has_one_evaluation:
                self._check_evaluations(key, of_version)
            if self.judges_all:
                self._judge_all(key, of_version, checked)
        self.checked.add(checked)
        damages = [*self._damages]
        self._damages.clear()
        return damages

    # -- reading

    def _check_halves(self, ranges: Sequence[VersionRange], error: Exception) -> list[RecordDamage]:
        """Check versions in two halves, to find the version with a row that cannot be read."""
        if len(ranges) == 1:
            (versions,) = ranges
            numbers = state_keys.version_numbers(self.session, versions)
            if len(numbers) < 2:
                sentence = (
                    f"a row of this version has a value that no write of this program has: {type(error).__name__}"
                )
                number = numbers[0] if numbers else 0
                return [RecordDamage("changed", "canonical_records", sentence, versions.model_name, number)]
            middle = numbers[len(numbers) // 2]
            ranges = [versions._replace(last=middle - 1), versions._replace(first=middle)]
        half = len(ranges) // 2
        return [*self.check(ranges[:half]), *self.check(ranges[half:])]

    def _read(self, ranges: Sequence[VersionRange], checked: Checked) -> Mapping[Key, VersionStates]:
        states: defaultdict[Key, VersionStates] = defaultdict(VersionStates)
        for key, entry in state_rows.logged_states(self.session, ranges):
            if entry.kind not in TENANT_KINDS:
                states[key].logged[entry.kind].append(entry)
                checked.states += 1
        for of_version in states.values():
            for entries in of_version.logged.values():
                entries.sort(key=itemgetter(0))
        for key, record in state_rows.record_states(self.session, ranges):
            states[key].records.append(record)
            checked.records += 1
        for key, badge in state_rows.badge_states(self.session, ranges):
            states[key].badges.append(badge)
        for key, manifest in state_rows.manifest_states(self.session, ranges):
            states[key].manifests.append(manifest)
        for key, kind, event in state_rows.event_states(self.session, ranges):
            states[key].events[kind].append(event)
        for key, row in verdict_rows(self.session, ranges):
            states[key].add_verdicts(row, keeps_columns=self.judges_all)
            checked.verdicts += row.size
        for key in [key for key, of_version in states.items() if of_version.lacks_columns]:
            states[key].verdicts = self._read_verdicts(key)
        return states

    def _read_verdicts(self, key: Key) -> list[StoredVerdicts]:
        return [row for _, row in verdict_rows(self.session, [VersionRange.of(key)])]

    def _verdicts(self, key: Key, states: VersionStates) -> list[StoredVerdicts]:
        """Return the rows of verdicts with their columns. If columns were dropped, the rows are read again."""
        return states.verdicts if all(row.columns for row in states.verdicts) else self._read_verdicts(key)

    def _drop_malformed_verdicts(self, key: Key, states: VersionStates) -> None:
        rows, states.verdicts = states.verdicts, []
        for row in rows:
            if row.is_well_formed():
                states.verdicts.append(row)
            else:
                sentence = "the columns of the row do not have one cell for each verdict"
                self._damages.append(RecordDamage("changed", row.table, sentence, *key))

    # -- records, manifests, events

    def _check_records(self, key: Key, states: VersionStates) -> None:
        stored, logged = states.records, with_moved_times(states.logged["record"])
        found = mismatches_with_history(logged, stored, "canonical_records")
        contents: dict[tuple[str, datetime], Cells] | None = None
        for mismatch in found:
            changes = changed_times(mismatch, "changed_at")
            if mismatch.has_other_content and self.limit.take():
                if contents is None:
                    contents = self._record_contents(key)
                changes += self._changed_record(key, mismatch, contents, self._verdicts(key, states))
            self._add(key, mismatch, "record", changes)
        if not found:
            for state, changes in span_changes(in_log_order(logged, stored)):
                self._damages.append(damage_of_state(key, state, "its span is not that of the log", changes))
        if stored and all(state.table != "canonical_records" for state in stored) and logged:
            newest = states.logged["record"][-1]
            self._damages.append(
                RecordDamage("removed", "canonical_records", GONE, *key, "", newest.written_at, newest.sync_id)
            )

    def _record_contents(self, key: Key) -> dict[tuple[str, datetime], Cells]:
        return {
            (table, row["changed_at"]): record_content(row)
            for _, table, row in state_rows.record_rows(self.session, [key])
        }

    def _changed_record(
        self,
        key: Key,
        mismatch: Mismatch,
        contents: Mapping[tuple[str, datetime], Cells],
        verdicts: Sequence[StoredVerdicts],
    ) -> list[FieldChange]:
        stored, logged = mismatch.stored, mismatch.logged
        assert stored is not None
        assert logged is not None
        content = contents[stored.table, stored.written_at]
        others: list[Cells] = []
        if self.rebuild and (built := self.rebuild(self.session, [key]).get(key)):
            others.append(built)
        values = (
            verdict.cells[_PLACES["values"]]
            for row in verdicts
            for verdict in row.single()
            if stored.ended_at is None or verdict.written_at < stored.ended_at
        )
        read = values_read_by_rules(content, values)
        others += [read, *columns_of_others([read])]
        others += columns_of_others(other for other in contents.values() if other is not content)
        return changed_fields(content, logged.content, others)

    def _check_manifest(self, key: Key, states: VersionStates) -> None:
        # A manifest has no history: only the newest manifest is stored.
        logged = states.logged["manifest"][-1:]
        for mismatch in mismatches(logged, with_logged_syncs(logged, states.manifests)):
            changes = changed_times(mismatch, "changed_at")
            if mismatch.has_other_content:
                changes.append(FieldChange("manifest"))
            self._add(key, mismatch, "manifest", changes)

    def _check_events(self, key: Key, states: VersionStates) -> None:
        for kind in ("lifecycle event", "integrity event"):
            contents: dict[str, Cells] | None = None
            for mismatch in mismatches(states.logged[kind], states.events[kind]):
                changes = changed_times(mismatch, "seen_at")
                if mismatch.has_other_content and self.limit.take():
                    if contents is None:
                        contents = self._event_contents(key, kind)
                    assert mismatch.stored is not None
                    assert mismatch.logged is not None
                    content = contents[mismatch.stored.row]
                    others = possible_event_cells([*contents.values()])
                    changes += changed_fields(content, mismatch.logged.content, others)
                self._add(key, mismatch, kind, changes)

    def _event_contents(self, key: Key, kind: str) -> dict[str, Cells]:
        return {
            f"event {row['event_id']}": row_content(table, columns, row)  # type: ignore[misc]  # texts alone
            for _, kind_of_row, table, columns, row in state_rows.event_rows(self.session, [key])
            if kind_of_row == kind
        }

    def _add(self, key: Key, mismatch: Mismatch, kind: str, changes: Sequence[FieldChange]) -> None:
        self._damages.append(damage_of(key, mismatch, _TABLES[kind], changes))

    # -- verdicts and badges

    def _check_evaluations(self, key: Key, states: VersionStates) -> None:
        single = [verdict for row in states.verdicts for verdict in row.single()]
        found = replay(states.logged["evaluation"], single, states.badges)
        if found is not None:
            self._damages += self._evaluation_damages(key, single, found)

    def _evaluation_damages(self, key: Key, verdicts: Sequence[StoredVerdict], found: Replay) -> Iterator[RecordDamage]:
        explained: list[object] = []
        for evaluation in found.differing:
            logged = evaluation.logged
            if not self.limit.take():
                sentence = "the verdicts or the badge of this evaluation are not those that were logged"
                yield RecordDamage("changed", "version_verdicts", sentence, *key, "", logged.written_at, logged.sync_id)
                continue
            derived = self._derived(key, logged.written_at, evaluation.begun.values())
            damages, used = explain_evaluation(key, evaluation, derived, verdicts)
            yield from damages
            yield from self._wrong_inputs(key, evaluation.begun.values())
            explained += used
        for verdict in (*found.unlogged, *found.doubled):
            if verdict not in explained:
                yield damage_of_verdict(key, verdict, "added", "no evaluation in the log gave this verdict", [])
        for badge in found.unlogged_badges:
            yield RecordDamage(
                "added", badge.table, NOT_LOGGED, *key, f"badge {badge.badge}", badge.written_at, badge.sync_id
            )
        for state in found.wrong_ends:
            changes = [FieldChange("valid_to", _iso(state.ended_at)), FieldChange("ended_by_sync_id", state.ended_by)]
            sentence = "no write in the log ended it at this time"
            if isinstance(state, StoredVerdict):
                yield damage_of_verdict(key, state, "changed", sentence, changes)
            else:
                yield RecordDamage(
                    "changed", state.table, sentence, *key, "", state.written_at, state.sync_id, tuple(changes)
                )
        for verdict, expected in found.wrong_open_since:
            changes = [FieldChange("open_since", _iso(verdict.open_since), _iso(expected), is_proved=True)]
            yield damage_of_verdict(key, verdict, "changed", "the gap opened at another time", changes)

    # -- evaluating again

    def _derived(self, key: Key, at: datetime, verdicts: Iterable[StoredVerdict]) -> DerivedVerdicts | None:
        return self.judge.evaluate(key, at, [verdict.cells[_PLACES["values"]] for verdict in verdicts])

    def _wrong_inputs(self, key: Key, verdicts: Iterable[StoredVerdict]) -> Iterator[RecordDamage]:
        """Yield the verdicts whose stored inputs do not have the hash that is stored with the verdict."""
        for verdict in verdicts:
            period = self.judge.period_at(verdict.written_at)
            digest = period.digests().get(verdict.rule_id) if period else None
            if digest and not _is_input_hash_right(digest, verdict.cells):
                sentence = "the hash of the inputs does not follow from the rule and from the values stored with it"
                changes = [FieldChange("input_hash", verdict.cells[_PLACES["input_hash"]])]
                yield damage_of_verdict(key, verdict, "does not follow", sentence, changes)

    def _judge_all(self, key: Key, states: VersionStates, checked: Checked) -> None:
        if not states.verdicts:
            return
        by_write: dict[tuple[datetime, str], list[StoredVerdict]] = defaultdict(list)
        for row in states.verdicts:
            for verdict in row.single():
                by_write[verdict.written_at, verdict.sync_id].append(verdict)
        logged = sorted((*states.logged["record"], *states.logged["evaluation"]), key=itemgetter(0))
        if any(following.written_at < entry.written_at for entry, following in pairwise(logged)):
            # The clock went back, so a time no longer identifies a record.
            checked.not_judged += sum(map(len, by_write.values()))
            return
        for (at, _), verdicts in by_write.items():
            self._damages += self._wrong_inputs(key, verdicts)
            derived = self._derived(key, at, verdicts)
            for verdict in verdicts:
                given = derived.rows.get(verdict.rule_id) if derived else None
                # How a rule exceeds its limits depends on the machine.
                if given is None or "error" in (given.verdict, verdict.verdict):
                    checked.not_judged += 1
                    continue
                checked.judged += 1
                changes = [
                    FieldChange(name, verdict.cells[place], given[place])
                    for name, place in _PLACES.items()
                    if name in ("verdict", "values", "thresholds", "origins") and verdict.cells[place] != given[place]
                ]
                if changes:
                    sentence = f"on the record of that time, the rule gives {given.verdict!r}"
                    if given.verdict == verdict.verdict:
                        sentence = (
                            "the record of that time has other values than those that are stored with the verdict"
                        )
                    self._damages.append(damage_of_verdict(key, verdict, "does not follow", sentence, changes))


def _is_input_hash_right(digest: str, verdict: Sequence[str]) -> bool:
    values, thresholds, day, stored_hash = (
        verdict[_PLACES[name]] for name in ("values", "thresholds", "day", "input_hash")
    )
    return is_input_hash_right(digest, values, thresholds, day, stored_hash)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
