"""A reference names a version by its number, an alias or the stage of one version; nothing else is guessed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.common.unresolved_names import NotRecordedYetError, UnresolvedNameError
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_references import require_recorded, resolve_version
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.evaluation_fixtures import store_record
from verifywise_mlflow_tests.support.record_inputs_factory import inputs
from verifywise_mlflow_tests.support.stored_states import day, write_record


@pytest.fixture(scope="module")
def aliased_store(postgres: EmbeddedPostgres) -> Iterator[Store]:
    """Version 3 of fraud had two aliases and lost one on the third day; 4 and 5 are in production."""
    with migrated_database(postgres) as url, Store(url) as store:
        write_record(store, inputs(aliases=("champion", "Blue"), stage="Staging"), day(1))
        write_record(store, inputs(aliases=("Blue",), stage="Archived"), day(3))
        for number in (4, 5):
            store_record(store, "fraud", number, day(2), stage="Production")
        store_record(store, "churn", 1, day(2), stage="Staging")
        store_record(store, "loans", 2, day(2), stage="Staging")
        loans = RegisteredModel("loans", aliases={"staging": 1})
        write_record(store, RecordInputs(version=ModelVersion("loans", 1, stage="Archived"), model=loans), day(2))
        yield store


def resolved(store: Store, reference: str, *, model: str = "fraud", on_day: int = 9) -> int:
    with store.begin("acme") as session:
        return resolve_version(session, model, reference, day(on_day))


@pytest.mark.parametrize(
    ("reference", "model", "on_day", "number"),
    [
        ("17", "fraud", 9, 17),
        ("champion", "fraud", 2, 3),
        ("@champion", "fraud", 2, 3),
        ("blue", "fraud", 9, 3),
        ("Archived", "fraud", 9, 3),
        ("STAGING", "churn", 9, 1),
    ],
)
def test_numbers_aliases_and_unambiguous_stages_are_resolved_as_of_the_time(
    aliased_store: Store, reference: str, model: str, on_day: int, number: int
) -> None:
    assert resolved(aliased_store, reference, model=model, on_day=on_day) == number


@pytest.mark.parametrize(
    ("reference", "model", "reason"),
    [
        (
            "champion",
            "fraud",
            "no version or alias 'champion' of 'fraud' of the tenant 'acme' as of 2026-03-09 12:00:00 UTC; "
            "its versions are 3, 4, 5, with the alias 'Blue', in the stages 'archived', 'production'",
        ),
        ("@bleu", "fraud", "Did you mean 'Blue'?"),
        ("production", "fraud", "'production' means versions 4, 5 of 'fraud': write one of the numbers"),
        ("@production", "fraud", "no version or alias '@production'"),
        ("champion", "frod", "no record of a model 'frod' of the tenant 'acme'. Did you mean 'fraud'?"),
        ("9" * 40, "fraud", "no version 9999"),
        ("-1", "fraud", "no version or alias '-1'"),
        ("", "fraud", "no version or alias ''"),
    ],
)
def test_what_is_unknown_or_ambiguous_is_explained(
    aliased_store: Store, reference: str, model: str, reason: str
) -> None:
    with pytest.raises(UnresolvedNameError) as error:
        resolved(aliased_store, reference, model=model)

    assert reason in str(error.value)


@pytest.mark.parametrize("reference", ["production", "champion", "@Blue"])
def test_a_time_before_the_first_record_is_named_instead_of_a_wrong_name(aliased_store: Store, reference: str) -> None:
    with pytest.raises(
        NotRecordedYetError, match=r"'fraud' .* as of 2026-02-27.*; nothing was recorded before 2026-03-01"
    ):
        resolved(aliased_store, reference, on_day=-1)
    with pytest.raises(UnresolvedNameError, match="Did you mean 'fraud'"):
        resolved(aliased_store, reference, model="frod", on_day=-1)


def test_a_word_that_is_the_alias_of_one_version_and_the_stage_of_another_is_ambiguous(aliased_store: Store) -> None:
    ambiguity = "is the alias of version 1 of 'loans' and the stage of versions 1, 2"
    with pytest.raises(UnresolvedNameError, match=ambiguity):
        resolved(aliased_store, "staging", model="loans")
    assert resolved(aliased_store, "@staging", model="loans") == 1


def test_a_misspelled_tenant_gets_the_names_that_the_role_may_see(aliased_store: Store) -> None:
    with aliased_store.begin("acne") as session, pytest.raises(UnresolvedNameError) as error:
        require_recorded(session, ("fraud", 3))

    assert "the database has no tenant 'acne', or the role in use may not read it" in str(error.value)
