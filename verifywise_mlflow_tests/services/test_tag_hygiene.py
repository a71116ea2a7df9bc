"""The tag-hygiene report counts existing objects only, and uses the tenant's own mapping."""

from __future__ import annotations

from sqlalchemy import text

from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.tag_hygiene import KeyUse
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.tag_hygiene import tag_hygiene, to_dataframe
from verifywise_mlflow_tests.services.tagged_rows import (
    NOW,
    TENANT,
    write_logged_model,
    write_model,
    write_run,
    write_version,
)


def test_a_misspelled_key_is_reported_with_the_known_key(store: Store) -> None:
    misspelled_tags = {"onwer": "a", "Risk-Categroy": "b", "gov.data_sensitivty": "c", "dataset_names": "d"}
    write_version(store, 1, misspelled_tags)

    report = tag_hygiene(store, TENANT)

    assert {(problem.use.key, problem.probably, problem.field) for problem in report.misspelled} == {
        ("onwer", "owner", "owner"),
        ("Risk-Categroy", "risk_category", "risk_category"),
        ("gov.data_sensitivty", "data_sensitivity", "data_sensitivity"),
        ("dataset_names", "dataset_name", "dataset_reference"),
    }
    assert report.unmapped == ()


def test_a_key_with_another_meaning_is_not_misspelled_and_a_known_key_is_no_problem(store: Store) -> None:
    write_version(
        store,
        1,
        {"kind": "1", "rank": "2", "cost_centre": "3", "mlflow.onwer": "4", "Model.Owner": "ann", "eval_suite": "b"},
    )

    report = tag_hygiene(store, TENANT)

    assert report.misspelled == ()
    assert {problem.use.key for problem in report.unmapped} == {"kind", "rank", "cost_centre"}
    assert report.read_keys == 2


def test_uses_are_counted_once_per_kind_of_existing_object(store: Store) -> None:
    write_model(store, {"cost_centre": "a"})
    write_run(store, "r1", {"cost_centre": "a"})
    write_run(store, "r2", {"cost_centre": "a"})
    write_run(store, "of nobody", {"cost_centre": "a"})
    write_logged_model(store, "m-1", "r2", {"cost_centre": "a"})
    write_version(store, 1, {"cost_centre": "a"}, run_id="r1")
    write_version(store, 2, {"cost_centre": "b"}, run_id="r1")
    write_version(store, 3, {}, logged_model_id="m-1", source="models:/m-1")
    write_version(store, 4, {"cost_centre": "c"}, deleted_at=NOW, run_id="of nobody")
    write_version(store, 1, {"cost_centre": "c"}, tenant_id="globex")

    report = tag_hygiene(store, TENANT)

    assert [problem.use for problem in report.unmapped] == [
        KeyUse("run tag", "cost_centre", 2, ("fraud", 1)),
        KeyUse("version tag", "cost_centre", 2, ("fraud", 1)),
        KeyUse("logged model", "cost_centre", 1, ("fraud", 3)),
        KeyUse("model tag", "cost_centre", 1, ("fraud", None)),
    ]


def test_unknown_values_are_reported_with_their_number_of_uses(store: Store) -> None:
    write_version(store, 1, {"risk": "grade-7", "contains_pii": "yes", "dpia": "done 2026-03-01", "owner": "anything"})
    write_version(store, 2, {"risk": "grade-7", "contains_pii": "maybe", "dpia": "  "})
    write_version(store, 3, {"risk": "high", "dpia": "xy" * 50_000})

    report = tag_hygiene(store, TENANT)

    assert [
        (problem.field, problem.found.use.key, problem.found.value, problem.found.use.uses)
        for problem in report.unknown_values
    ] == [
        ("risk_category", "risk", "grade-7", 2),
        ("data_sensitivity", "contains_pii", "maybe", 1),
        ("privacy_assessment_status", "dpia", "xy" * 100 + "x", 1),
    ]


def test_texts_that_are_no_value_are_reported_with_their_state(store: Store) -> None:
    write_version(store, 1, {"owner": "TBD", "approved_by": "rejected by Ada", "contains_pii": "no", "risk": "TBD"})
    write_version(store, 2, {"owner": "TBD", "pentest": "failed: 3 findings", "dpia": "n/a", "purpose": "Loans"})
    write_version(store, 3, {"owner": "root"})
    team = {"value_states": {"owner": {"ordinary": ["root"]}}}
    with_mapping = TENANT.model_copy(update={"mapping": TagMapping.model_validate(team)})

    report = tag_hygiene(store, TENANT)

    assert {(text.field, text.found.value, text.state, text.found.use.uses) for text in report.no_values} == {
        ("owner", "TBD", "placeholder", 2),
        ("owner", "root", "generic", 1),
        ("compliance_approver", "rejected by Ada", "negative", 1),
        ("security_assessment_version", "failed: 3 findings", "failed", 1),
        ("risk_category", "TBD", "placeholder", 1),
    }
    assert report.unknown_values == ()
    assert "root" not in {text.found.value for text in tag_hygiene(store, with_mapping).no_values}


def test_keys_and_values_in_the_tenants_mapping_are_no_problem(store: Store) -> None:
    write_version(store, 1, {"onwer": "ann", "kostenstelle": "4711", "risk": "grade-7"})
    mapping = {
        "synonyms": {"owner": ["onwer"]},
        "key_patterns": {"business_purpose": ["kosten*"]},
        "values": {"risk_category": {"high": ["grade-7"]}},
    }
    with_mapping = TENANT.model_copy(update={"mapping": TagMapping.model_validate(mapping)})

    assert len(to_dataframe(tag_hygiene(store, TENANT))) == 3
    assert to_dataframe(tag_hygiene(store, with_mapping)).empty


def test_unusual_texts_come_back_unchanged(store: Store) -> None:
    write_version(store, 1, {"nul\x00key": "v", "\ud800": "v", "risk": "nul\x00value"})

    report = tag_hygiene(store, TENANT)

    assert {problem.use.key for problem in report.unmapped} == {"nul\x00key", "\ud800"}
    assert report.unknown_values[0].found.value == "nul\x00value"


def test_the_dataframe_has_one_row_per_problem(store: Store) -> None:
    write_version(store, 1, {"onwer": "ann", "color": "red", "risk": "grade-7", "team": "n/a"})

    rows = to_dataframe(tag_hygiene(store, TENANT)).fillna("").to_dict("records")

    assert [(row["problem"], row["key"], row["field"], row["uses"]) for row in rows] == [
        ("misspelled key", "onwer", "owner", 1),
        ("unknown value", "risk", "risk_category", 1),
        ("no value", "team", "owner", 1),
        ("unmapped key", "color", "", 1),
    ]
    assert [(row["example_model"], row["example_version"]) for row in rows] == [("fraud", 1)] * 4


def test_many_distinct_keys_are_cut_to_the_most_used_ones(store: Store) -> None:
    with store.begin("acme") as session:
        session.execute(
            text("""
                INSERT INTO verifywise_mlflow.model_versions
                    (tenant_id, model_name, version_number, tags, aliases, hidden_from_search, problems,
                     fingerprint, changed_at)
                SELECT 'acme', 'm', n,
                       jsonb_build_object('everywhere', 'v') ||
                           (SELECT jsonb_object_agg('key ' || n || ' ' || k, 'v') FROM generate_series(1, 100) k),
                       '[]', false, '[]', 'f', now()
                FROM generate_series(1, 200) n
            """)
        )

    report = tag_hygiene(store, TENANT)

    assert report.is_cut
    assert len(report.unmapped) == 10_000
    assert (report.unmapped[0].use.key, report.unmapped[0].use.uses) == ("everywhere", 200)
