"""The coverage of clauses by the verdicts of living versions, as the database counts them."""

from __future__ import annotations

from datetime import timedelta

from verifywise_mlflow.compliance.coverage import ClauseState, VerdictGroup
from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.queries.coverage import current_policies, verdict_groups
from verifywise_mlflow.persistence.queries.dataframes import framework_coverage
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.stored_states import NOON, write_record, write_verdicts

OWNED = {"owner": Verdict.PASS, "high-risk-category": Verdict.NOT_EVIDENCED}
NOT_OWNED = {"owner": Verdict.NOT_EVIDENCED, "high-risk-category": Verdict.NOT_EVIDENCED}


def judge(store: Store, number: int, verdicts: dict[str, Verdict]) -> None:
    write_record(store, RecordInputs(version=ModelVersion("fraud", number)), NOON)
    write_verdicts(store, verdicts, NOON, key=("fraud", number))


def adopt(store: Store, rule_id: str, framework: str, clause: str) -> None:
    """Store a policy as the last stage does, or as earlier releases did, which supported only one policy."""
    policy = {"rules": {rule_id: {"references": [{"framework": framework, "clause": clause, "confidence": "high"}]}}}
    document = {"policies": {"ours": policy}}
    with store.begin("acme") as session:
        config_versions.record_config_version(session, "policy", clause, document, "sync", NOON)


def sorted_groups(store: Store, tenant_id: str = "acme") -> list[VerdictGroup]:
    with store.begin(tenant_id) as session:
        return sorted(verdict_groups(session), key=lambda group: group.version_count)


def test_versions_with_equal_verdicts_are_counted_together(store: Store) -> None:
    judge(store, 1, NOT_OWNED)
    for number in (2, 3):
        judge(store, number, OWNED)

    assert sorted_groups(store) == [VerdictGroup(NOT_OWNED, 1), VerdictGroup(OWNED, 2)]


def test_a_version_without_verdicts_is_counted_and_a_deleted_one_is_not(store: Store) -> None:
    write_record(store, RecordInputs(version=ModelVersion("fraud", 1)), NOON)
    judge(store, 2, OWNED)
    deleted_at = NOON + timedelta(days=1)
    write_record(store, RecordInputs(version=ModelVersion("fraud", 2)), deleted_at, deleted_at=deleted_at)

    assert sorted_groups(store) == [VerdictGroup({}, 1)]


def test_a_reader_counts_only_its_tenant(store: Store, database_url: str) -> None:
    judge(store, 1, OWNED)
    with login_role(database_url, new_name("reader")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "reader", "globex", NOON)

        with Store(role.url) as reader:
            assert sorted_groups(reader, "acme") == []


def test_the_data_frame_has_one_row_per_clause(store: Store) -> None:
    adopt(store, "owner", "NIST AI RMF", "GOVERN 2.1")
    judge(store, 1, OWNED)
    judge(store, 2, NOT_OWNED)

    frame = framework_coverage(store, "acme", list(shipped_catalog().values()))

    rows = {(row["framework"], row["clause"]): row for row in frame.to_dict("records")}
    assert len(rows) == sum(len(framework.clauses) for framework in shipped_catalog().values())
    owner = rows["NIST AI RMF", "GOVERN 2.1"]
    assert (owner["state"], owner["shown"], owner["not_shown"], owner["versions"]) == ("declared only", 1, 1, 2)
    logs = rows["EU AI Act", "Art. 12"]
    assert (logs["state"], logs["shown"]) == (ClauseState.NOT_OBTAINABLE.value, 0)
    assert logs["blank"].startswith("The logs of the system")


def test_a_tenant_without_versions_covers_no_clause(store: Store) -> None:
    frame = framework_coverage(store, "nobody", [shipped_catalog()["EU AI Act"]])

    assert set(frame["state"]) == {ClauseState.NOTHING_SHOWN.value, ClauseState.NOT_OBTAINABLE.value}


def test_the_references_are_those_of_the_current_policy_version(store: Store) -> None:
    adopt(store, "owner", "NIST AI RMF", "GOVERN 2.1")
    with store.begin("acme") as session:
        before = current_policies(session).references
    adopt(store, "approver", "NIST AI RMF", "MANAGE 1.1")

    with store.begin("acme") as session:
        after = current_policies(session).references

    assert before == {"owner": {("NIST AI RMF", "GOVERN 2.1")}}
    assert after == {"approver": {("NIST AI RMF", "MANAGE 1.1")}}
