"""Compares the conclusions of a sync with the truth, and with what earlier syncs could see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageReport
from verifywise_mlflow_tests.histories.truth import Folder, Key, TrueVersion
from verifywise_mlflow_tests.histories.twin_registry import TwinRegistry
from verifywise_mlflow_tests.support.syncing import Row, rows

STAGE_WORDS = {"Production": "production", "Staging": "staging", "Archived": "archived"}
ALIAS_WORDS = {"champion": "production", "challenger": "staging", "development": "development", "nightly": None}
"""Aliases, and the lifecycle stages that they stand for."""
MOST_RESPONSIBLE_FIRST = ("production", "staging", "development", "archived")

_IDENTITY_EVENTS = {"first seen", "disappeared", "reappeared", "recreated"}
_BOOKKEEPING = {"deleted_at", "changed_at", "revision", "sync_id", "fingerprint"}


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored rows of the product, by version."""

    versions: Mapping[Key, Row] = field(default_factory=dict)
    records: Mapping[Key, Row] = field(default_factory=dict)
    events: Sequence[Row] = ()
    """The integrity events, the oldest first."""
    last_identity_event: Mapping[Key, str] = field(default_factory=dict)
    """The kind of the last event of each version that says whether it exists."""

    @property
    def withdrawn(self) -> set[Key]:
        """The versions with a tombstone."""
        return {key for key, row in self.versions.items() if row["deleted_at"] is not None}

    def content(self, key: Key) -> Row:
        """Return a record without the columns that say when it was written."""
        return {name: value for name, value in self.records[key].items() if name not in _BOOKKEEPING}


def read_stored(store: Store) -> Stored:
    """Return what the product has stored now."""
    return Stored(
        {_key(row): row for row in rows(store, "model_versions")},
        {_key(row): row for row in rows(store, "canonical_records")},
        rows(store, "integrity_events", "event_id"),
        {
            _key(row): str(row["kind"])
            for row in rows(store, "lifecycle_events", "event_id")
            if row["version_number"] is not None and row["kind"] in _IDENTITY_EVENTS
        },
    )


@dataclass(slots=True)
class Conclusions:
    """Checks one sync after the other."""

    twin: TwinRegistry
    store: Store
    before: Stored = field(default_factory=Stored)
    _baselines: dict[TrueVersion, tuple[Key, dict[str, str] | None]] = field(default_factory=dict)
    """The name and the hashes of a version's files at their last read; null if older hashes may have been reused."""
    _read_folders: set[Folder] = field(default_factory=set)
    _linked_copies: set[tuple[Key, datetime]] = field(default_factory=set)

    def check(self, *, is_complete: bool, is_rehash: bool, is_reconcile: bool) -> None:
        """Compare the conclusions of the sync that has just ended with the truth.

        Args:
            is_complete: whether the server answered truthfully.
            is_rehash: whether the sync had to hash all files again.
            is_reconcile: whether the sync had to read all objects and failed manifests again.
        """
        now, truth = read_stored(self.store), self.twin.versions()
        self._check_withdrawals(now, truth, is_complete=is_complete)
        self._check_identities(now, truth, is_complete=is_complete)
        self._check_events(now, truth, is_exact=is_rehash and is_complete)
        if is_complete:
            for key, version in truth.items():
                self._check_record(now, key, version)
                if not self.twin.is_store_away and version.folder and self._is_traced(now, key, version):
                    self._check_manifest(now, key, version, is_rehash=is_rehash, is_due=is_rehash or is_reconcile)
        self._note_reads(now, truth, is_rehash=is_rehash, is_complete=is_complete)
        self.before = now

    def check_unchanged(self, reports: Sequence[StageReport]) -> None:
        """Check a complete sync after which nothing has happened in MLflow: it must not have written anything."""
        changed = {report.stage.value: report.counts() for report in reports if not report.is_unchanged}
        assert not changed, f"a sync of an unchanged registry: {changed}"

    def _check_withdrawals(self, now: Stored, truth: Mapping[Key, TrueVersion], *, is_complete: bool) -> None:
        for key in now.withdrawn - self.before.withdrawn:
            exists = key in truth and truth[key].created_at == now.versions[key]["created_at"]
            assert not exists, f"{key} is called deleted, but exists"
        if is_complete:
            assert now.versions.keys() - now.withdrawn == truth.keys(), "living versions"
        disappeared = {key for key, kind in now.last_identity_event.items() if kind == "disappeared"}
        assert (disappeared, now.last_identity_event.keys()) == (now.withdrawn, now.versions.keys()), "lifecycle events"
        for key in now.withdrawn:
            assert now.records[key]["deleted_at"] == now.versions[key]["deleted_at"], f"record of {key}"
            before, after = self.before.content(key), now.content(key)
            changed = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
            assert not changed, f"the withdrawn record of {key} changed: {changed}"

    def _check_identities(self, now: Stored, truth: Mapping[Key, TrueVersion], *, is_complete: bool) -> None:
        for key, row in now.versions.items():
            known, version = self.before.versions.get(key), truth.get(key)
            former = (known["created_at"], known["incarnation"]) if known else None
            current = None
            if version:
                is_another = known is not None and known["created_at"] != version.created_at
                incarnation = int(str(known["incarnation"])) + is_another if known else 1
                current = (version.created_at, incarnation)
            allowed = {current} if is_complete and current else {former, current}
            assert (row["created_at"], row["incarnation"]) in allowed, f"identity of {key}"

    def _check_record(self, now: Stored, key: Key, version: TrueVersion) -> None:
        record, model = now.records[key], self.twin.models[key[0]]
        assert record["lifecycle_stage"] == self._lifecycle_stage(key, version), f"stage of {key}"
        risk = version.tags.get("risk", model.tags.get("risk"))
        assert record["risk_category"] == risk, f"risk of {key}"
        findings = [(finding["kind"], finding["sentence"]) for finding in record["findings"]]  # type: ignore[attr-defined]
        dangling = {alias for alias, number in model.aliases.items() if number not in model.versions}
        said = [sentence for kind, sentence in findings if kind == "dangling alias"]
        assert len(said) == len(dangling), f"dangling aliases of {key}: {said}"
        assert all(any(alias in sentence for sentence in said) for alias in dangling), f"{key}: {said}"
        kinds = {kind for kind, _ in findings}
        assert ("recreated" in kinds) == (int(str(now.versions[key]["incarnation"])) > 1), f"{key}: {findings}"
        self._check_origin(now, key, version, kinds)

    def _lifecycle_stage(self, key: Key, version: TrueVersion) -> str | None:
        aliases = [alias for alias, number in self.twin.models[key[0]].aliases.items() if number == key[1]]
        words = {ALIAS_WORDS[alias] for alias in aliases} | {STAGE_WORDS.get(version.stage or "")}
        return next((word for word in MOST_RESPONSIBLE_FIRST if word in words), None)

    def _check_origin(self, now: Stored, key: Key, version: TrueVersion, kinds: set[str]) -> None:
        record, run = now.records[key], version.run
        said = (record["source_run_id"], record["owner"], record["experiment_id"], record["experiment_name"])
        expected = (run.run_id, run.owner, run.experiment_id, "trials") if run else (None,) * 4
        if self._is_traced(now, key, version):
            assert said == expected, f"origin of {key}"
            assert ("deleted run" in kinds) == bool(run and run.is_deleted), f"run of {key}"
        elif not self._is_indistinguishable(now, key, version):
            assert said in (expected, (None,) * 4), f"origin of {key}, whose original is unknown"

    def _is_traced(self, now: Stored, key: Key, version: TrueVersion) -> bool:
        """Whether the product can trace a copy: the original has the name in the copy's source, or had it at first."""
        identity = (key, version.created_at)
        if version.original and identity not in self._linked_copies:
            named = _named(now, key)
            row = now.versions.get(named)
            is_original = row is not None and row["created_at"] == version.original.created_at
            if not is_original or not self._is_traced(now, named, version.original):
                return False
            self._linked_copies.add(identity)
        return True

    def _is_indistinguishable(self, now: Stored, key: Key, version: TrueVersion) -> bool:
        """Whether another version that is older than the copy has the original's name, so that both look the same."""
        row = now.versions.get(_named(now, key))
        created_at = row["created_at"] if row else None
        return isinstance(created_at, datetime) and created_at <= version.created_at

    def _check_manifest(self, now: Stored, key: Key, version: TrueVersion, *, is_rehash: bool, is_due: bool) -> None:
        is_new = key not in self.before.versions or key in self.before.withdrawn
        if not (is_new or is_due):
            return
        manifest = now.records[key]["artifact_manifest"]
        assert isinstance(manifest, dict), f"manifest of {key}"
        assert manifest["status"] == "complete", f"manifest of {key}: {manifest}"
        assert version.folder
        if is_rehash:
            read = {file["path"]: file["sha256"] for file in manifest["files"] if file["root"] == "model"}
            assert read == version.folder.hashes, f"files of {key}"

    def _check_events(self, now: Stored, truth: Mapping[Key, TrueVersion], *, is_exact: bool) -> None:
        new: dict[Key, set[tuple[str, str]]] = {}
        for event in now.events[len(self.before.events) :]:
            key, folder = _key(event), truth[_key(event)].folder
            assert folder, f"{key} has no files"
            assert not self.twin.is_store_away, f"the store is away: {event}"
            name, former, current = str(event["path"]), event["former_sha256"], event["sha256"]
            new.setdefault(key, set()).add((str(event["kind"]), name))
            assert current == folder.hashes.get(name), f"{key}: {event}"
            assert folder.had(name, str(former)) if former else folder.lacked(name), f"{key}: {event}"
            assert former != current, f"{key}: {event}"
        if is_exact and not self.twin.is_store_away:
            for key, version in truth.items():
                baseline = self._baseline(now, version)
                if version.folder and baseline is not None:
                    assert new.get(key, set()) == _differences(baseline, version.folder.hashes), f"events of {key}"

    def _baseline(self, now: Stored, version: TrueVersion) -> dict[str, str] | None:
        """Return the hashes that a version's files are compared with, unless another version took its former name."""
        key, hashes = self._baselines.get(version, (None, None))
        row = now.versions[key] if key else None
        return hashes if row and row["created_at"] == version.created_at else None

    def _note_reads(self, now: Stored, truth: Mapping[Key, TrueVersion], *, is_rehash: bool, is_complete: bool) -> None:
        if self.twin.is_store_away:
            return
        for key, version in truth.items():
            folder = version.folder
            if folder is None or key not in now.versions or not self._is_traced(now, key, version):
                continue
            is_new = key not in self.before.versions or key in self.before.withdrawn
            if is_rehash:
                # A sync that the server misled may have read the files, or may not have seen the version.
                self._baselines[version] = key, folder.hashes if is_complete else None
            elif is_new or version not in self._baselines:
                is_first = folder not in self._read_folders and version not in self._baselines
                self._baselines[version] = key, folder.hashes if is_first and is_new and is_complete else None
            self._read_folders.add(folder)


def _named(now: Stored, copy: Key) -> Key:
    """Return the version that the source of a copy names."""
    name, _, number = str(now.versions[copy]["source"]).removeprefix("models:/").rpartition("/")
    return name, int(number)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> set[tuple[str, str]]:
    changed = {("changed", name) for name in before.keys() & after.keys() if before[name] != after[name]}
    added = {("added", name) for name in after.keys() - before.keys()}
    return changed | added | {("removed", name) for name in before.keys() - after.keys()}


def _key(row: Row) -> Key:
    return str(row["model_name"]), int(str(row["version_number"]))
