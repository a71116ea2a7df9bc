"""Random histories of a real registry: the conclusions of each sync are compared with what really happened.

The histories are the same in each run. Set VERIFYWISE_HISTORIES to a number to run this number of random histories, and
to shrink a history that fails: ``VERIFYWISE_HISTORIES=500 pytest --timeout=0 verifywise_mlflow_tests/histories``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from mlflow import MlflowClient

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.histories.conclusions import ALIAS_WORDS, STAGE_WORDS, Conclusions
from verifywise_mlflow_tests.histories.truth import Folder, Key
from verifywise_mlflow_tests.histories.twin_registry import SOURCE_KINDS, SourceKind, TwinRegistry
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.proxy import Proxy, always, proxy_before, saying
from verifywise_mlflow_tests.support.syncing import sync, targeted_sync

T = TypeVar("T")

STEPS = 12
EXAMPLES = 10
NAMES = ("churn", "fraud", "credit")
LISTINGS = ("registered-models/search", "model-versions/search", "runs/search", "logged-models/search")

names = st.sampled_from(NAMES)
choices = st.integers(0, 11)
"""Numbers that select an object: the index is the number modulo the number of objects."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of the session."""

    mlflow_uri: str
    mlflow_database: Path
    postgres: EmbeddedPostgres
    proxy: Proxy


@pytest.mark.slow(seconds=40)
def test_each_conclusion_agrees_with_what_happened(
    mlflow_uri: str, mlflow_database: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = os.environ.get("VERIFYWISE_HISTORIES")
    with proxy_before(mlflow_uri) as proxy:
        monkeypatch.setattr(
            RegistryHistory, "servers", Servers(mlflow_uri, mlflow_database, postgres, proxy), raising=False
        )
        run_state_machine_as_test(
            RegistryHistory,
            settings=settings(
                max_examples=int(count or EXAMPLES),
                stateful_step_count=STEPS,
                derandomize=count is None,
                phases=[Phase.generate, Phase.shrink] if count else [Phase.generate],
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )


class RegistryHistory(RuleBasedStateMachine):
    """A workspace that changes at random, and a tenant that is synced now and then."""

    servers: ClassVar[Servers]

    def __init__(self) -> None:
        super().__init__()
        servers = self.servers
        self._proxy = servers.proxy
        self._cleanup = ExitStack()
        workspace = f"test-{uuid.uuid4().hex[:12]}"
        environment = self._cleanup.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("MLFLOW_TRACKING_URI", servers.mlflow_uri)
        environment.setenv("MLFLOW_WORKSPACE", workspace)
        client = MlflowClient(servers.mlflow_uri)
        client.create_workspace(workspace)
        self.twin = TwinRegistry(
            client, workspace, servers.mlflow_database, servers.mlflow_database.parent / "artifacts"
        )
        self._store = Store(self._cleanup.enter_context(migrated_database(servers.postgres)))
        self._cleanup.callback(self._store.close)
        self._tenant = Tenant(
            tenant_id="acme", tracking_uri=servers.proxy.uri, workspace=workspace, allow_private_network=True
        )
        self._conclusions = Conclusions(self.twin, self._store)
        self._is_store_observed = True
        """Whether a sync has run since the store was taken away or brought back."""

    # -- models and versions

    @initialize(first=st.sampled_from(SOURCE_KINDS[:3]), second=st.sampled_from(SOURCE_KINDS), is_synced=st.booleans())
    def begin_with_two_versions(self, first: SourceKind, second: SourceKind, is_synced: bool) -> None:
        self.twin.register("churn", first)
        self.twin.register("churn", second)
        if is_synced:
            self.sync(is_rehash=False, is_reconcile=False, empty_listing=None)

    @precondition(lambda self: not self.twin.is_store_away)
    @rule(name=names, kind=st.sampled_from(SOURCE_KINDS))
    def register(self, name: str, kind: SourceKind) -> None:
        self.twin.register(name, kind)

    @precondition(lambda self: self.twin.versions())
    @rule(choice=choices, name=names, with_run=st.booleans())
    def copy(self, choice: int, name: str, with_run: bool) -> None:
        self.twin.copy(pick(self.twin.versions(), choice), name, with_run=with_run)

    @precondition(lambda self: 0 < len(self.twin.models) < len(NAMES))
    @rule(choice=choices, new_choice=choices)
    def rename(self, choice: int, new_choice: int) -> None:
        free = [name for name in NAMES if name not in self.twin.models]
        self.twin.rename(pick(self.twin.models, choice), pick(free, new_choice))

    @precondition(lambda self: self.twin.versions())
    @rule(choice=choices, what=st.sampled_from(["model", "version", "version", "version but no alias"]))
    def delete(self, choice: int, what: str) -> None:
        key = pick(self.twin.versions(), choice)
        if what == "model":
            self.twin.delete_model(key[0])
        else:
            self.twin.delete_version(key, leave_aliases=what == "version but no alias")

    @precondition(lambda self: self.twin.versions())
    @rule(
        choice=choices,
        alias=st.sampled_from([None, *ALIAS_WORDS]),
        stage=st.sampled_from([None, None, *STAGE_WORDS, "None"]),
        archive_others=st.booleans(),
    )
    def promote(self, choice: int, alias: str | None, stage: str | None, archive_others: bool) -> None:
        """Set or move an alias, transition the stage, or both. An alias that the version already has is removed."""
        key = pick(self.twin.versions(), choice)
        if alias and self.twin.models[key[0]].aliases.get(alias) == key[1]:
            self.twin.delete_alias(key[0], alias)
        elif alias:
            self.twin.set_alias(key, alias)
        if stage:
            self.twin.transition(key, stage, archive_others=archive_others)

    @precondition(lambda self: self.twin.versions())
    @rule(choice=choices, risk=st.sampled_from(["high", "low"]), what=st.sampled_from(["version", "model", "run"]))
    def annotate(self, choice: int, risk: str, what: str) -> None:
        """Tag a version or its model; or delete the version's run, or restore it."""
        key = pick(self.twin.versions(), choice)
        run = self.twin.versions()[key].run
        if what == "model":
            self.twin.tag_model(key[0], "risk", risk)
        elif what == "version" or run is None:
            self.twin.tag_version(key, "risk", risk)
        elif run.is_deleted:
            self.twin.restore_run(run)
        else:
            self.twin.delete_run(run)

    # -- artifacts

    @precondition(lambda self: self._is_store_observed)
    @rule()
    def take_store_away_or_bring_it_back(self) -> None:
        self._is_store_observed = False
        if self.twin.is_store_away:
            self.twin.bring_store_back()
        else:
            self.twin.take_store_away()

    @precondition(lambda self: self._folders() and not self.twin.is_store_away)
    @rule(choice=choices, what=st.sampled_from(["same size", "other size", "other file"]))
    def change_files(self, choice: int, what: str) -> None:
        """Overwrite the weights, with the same number of bytes or not, or add or remove another file."""
        folder = pick(self._folders(), choice)
        if what != "other file":
            self.twin.write_file(folder, "weights.bin", self.twin.new_content(20 if what == "same size" else 30))
        elif "loader.py" in folder.files:
            self.twin.remove_file(folder, "loader.py")
        else:
            self.twin.write_file(folder, "loader.py", self.twin.new_content())

    # -- syncs

    @precondition(lambda self: self._conclusions.before.versions)
    @rule(choice=choices, count=st.integers(1, 4), with_unknown=st.booleans())
    def targeted_sync(self, choice: int, count: int, with_unknown: bool) -> None:
        """Sync some objects, as after webhooks that were lost, repeated, late or forged."""
        self._proxy.fault = lambda _: None
        objects: list[str | Key] = [*self.twin.models, *self.twin.versions(), *self._conclusions.before.versions]
        unknown: list[str | Key] = [("churn", 99), "nobody"] if with_unknown else []
        named = {pick(objects, choice + 5 * index) for index in range(count)}
        targeted_sync(self._tenant, self._store, *named, *unknown)
        self._conclusions.check(is_complete=False, is_rehash=False, is_reconcile=False)

    @precondition(lambda self: self._conclusions.before.versions)
    @rule()
    def targeted_sync_of_everything(self) -> None:
        """Sync all existing objects, one by one."""
        self._proxy.fault = lambda _: None
        targeted_sync(self._tenant, self._store, *self.twin.models, *self.twin.versions())
        self._conclusions.check(is_complete=False, is_rehash=False, is_reconcile=False)

    @rule(is_rehash=st.booleans(), is_reconcile=st.booleans(), empty_listing=st.sampled_from([None, None, *LISTINGS]))
    def sync(self, is_rehash: bool, is_reconcile: bool, empty_listing: str | None) -> None:
        self._proxy.fault = always(saying(200, "{}"), empty_listing) if empty_listing else lambda _: None
        self._is_store_observed = True
        sync(self._tenant, self._store, SyncOptions(reconcile=is_reconcile, rehash=is_rehash))
        self._conclusions.check(is_complete=empty_listing is None, is_rehash=is_rehash, is_reconcile=is_reconcile)

    def teardown(self) -> None:
        try:
            if self.twin.is_store_away:
                self.twin.bring_store_back()
            self.sync(is_rehash=True, is_reconcile=True, empty_listing=None)
            self._conclusions.check_unchanged(sync(self._tenant, self._store).reports)
            assert_intact(self._store)
        finally:
            self._cleanup.close()

    def _folders(self) -> list[Folder]:
        return list(dict.fromkeys(v.folder for v in self.twin.versions().values() if v.folder))


def pick(objects: Iterable[T], choice: int) -> T:
    """Return the object that a number selects."""
    listed = list(objects)
    return listed[choice % len(listed)]
