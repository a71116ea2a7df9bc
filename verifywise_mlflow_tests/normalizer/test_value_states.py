"""Texts that are not values (placeholders, negations, failures, accounts of machines), and similar texts that are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from verifywise_mlflow.connector.models import TrainingRun
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.origin import Origin, ValueState
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized, sentences

INDEX = mapping_index(default_mapping())

TEXTS: dict[str, dict[str | None, str]] = {
    "owner": {
        "placeholder": (
            "TBD|tbd.|T.B.D.|TBA|todo|TODO: ask Bob|tbd - Q3|none|None!|n/a|N/A (see wiki)|n/a see wiki|nil|null|-|--|"
            "?|.|…|x|XXX|unknown, ask HR|not assigned|to be determined by the board|pending HR|draft|test|dummy|"
            "dummy team|unknown|owner|team|me|nobody|<owner>|${OWNER}|{{ owner }}|$OWNER|%(owner)s|Ada?|your name|"
            "none / none|TBD TBC|tbd/tbc|n/a n/a|unknown owner|to be assigned|who? HR knows|"
            "keine Angabe|k.A.|unbekannt|offen|aucun|à définir|inconnu|ninguno|por definir|nessuno|da definire|"
            "geen|onbekend|n.v.t.|nenhum|desconhecido|não definido|🤷|brak|yok|неизвестно|未定|待定|없음|"
            "aaaa|N.N.|ask Bob|to be named|see wiki|same as v1|YOUR_NAME_HERE|someone@corp.example|former employee"
        ),
        "negative": "no|No.|false|nein|non|não|nee",
        "failed": "failed|fehlgeschlagen",
        "generic": (
            "root|ROOT|User|codespace|azureuser|jovyan|ubuntu|airflow|databricks|svc-ml-train|SVC_ML|CORP\\svc-ml|"
            "ml-sa@prod.iam.gserviceaccount.com|123-compute@developer.gserviceaccount.com|release-bot|dependabot[bot]|"
            "system:serviceaccount:ml:train|arn:aws:sts::123456789012:assumed-role/train/i-0|"
            "0b7e4f0a-91ce-4d62-8d1a-3f2a9b7c6e5d|NT AUTHORITY\\SYSTEM|"
            "root@ip-10-0-0-1|noreply@corp.example|ada@localhost|databricks-sp|ci-runner|gitlab-ci-token|ip-10-0-3-17"
        ),
        None: (
            "risk-team|None of the above Ltd|test-automation|Test Automation|team-testing|Dr. No|No, Min-woo|"
            "Na, Hye-jin|N. A. Müller|Nil Patel|Christopher Null|Jan Bot|Robot Team|Ada Root|root-cause-analysis|"
            "pendingdorf|Unknown Worlds|Ada (root)|admin@corp.example|user-research|ubuntu-platform-team|Failsafe GmbH|"
            "[redacted: person]|<ada@corp.example>|Xu|Dennis X|draft-board|null-safety-guild|owner@corp.example|"
            "a?b#c&d=e"
        ),
    },
    "compliance_approver": {
        "placeholder": (
            "pending|pending Ada|Ada pending|awaiting sign-off|waiting for Ada|ask Ada|Ada to confirm|yes|true|"
            "approved|ok|2026-03-01|Ada? 2026-03-01|to be approved|in review|en attente|pendiente|LGTM|"
            "automatically approved|maybe Ada|Ada to approve|see ticket|JIRA-123|Freigabe ausstehend|the owner|"
            "Ada, conditionally|committee"
        ),
        "negative": (
            "rejected|rejected by Ada|Rejected 2026-03-01|Ada: rejected|Ada Lovelace (rejected)|declined by M. Okafor|"
            "refused|not approved|not approved yet|not yet approved|NOT_APPROVED|Ada - not approved|approved: no|"
            "Ada did not sign, not signed|"
            "reject|not reviewed|disapproved|revoked 2026-01-01|withdrawn by Ada|no|0|abgelehnt durch Ada|"
            "nicht freigegeben|rejeté par Ada|refusée|non approuvé|rechazado por Ada|no aprobado|respinto da Ada|"
            "non approvato|afgewezen door Ada|niet goedgekeurd|rejeitado|não aprovado|"
            "Approval withdrawn by Ada 2026-02-02|Ada (veto)|under objection|Ada did not approve|approval canceled|"
            "blocked by Ada|Ada on hold|Ada - approval expired"
        ),
        "failed": "failed|failed review|not done|review failed",
        "generic": "root|github-actions[bot]|svc-approve|GitHub Copilot",
        None: "Ada Lovelace|A. Jansen, 2026-03-01|m.okafor (model risk)|Model Risk Committee|No, Min-woo|Penny Dingle",
    },
    "security_assessment_version": {
        "placeholder": (
            "TBD|SEC-TBD|not required|pending|pending pentest|yes|true|in progress|SEC-14 draft|SEC-14?|none 2026-02-01"
        ),
        "negative": "no|rejected by CISO|not approved|no 2026-02-01",
        "failed": (
            "failed|failed: 3 findings|FAILED 2026-03-01|SEC-14 failed|SEC-14 (failed)|SEC-14: not passed|not done|"
            "not done yet|planned for Q3|scheduled|skipped, low risk|expired|not performed|nicht bestanden"
        ),
        None: (
            "https://jira.corp.example/browse?id=14|SEC-2026-014|F-2026-03|120 passed, 0 failed|SEC-14: 0 failed|"
            "no failed checks|2026.1|2026-03-01|2026-01|passed|v3"
        ),
    },
    "training_entrypoint": {
        "placeholder": "notebook|TBD",
        "generic": (
            "ipykernel_launcher.py|/usr/lib/python3.11/site-packages/ipykernel_launcher.py|colab_kernel_launcher.py|"
            "C:\\py\\ipykernel_launcher.py -f x.json|-c|<stdin>|<string>|/usr/bin/python3|python"
        ),
        None: "train.py|src/launcher.py|notebooks/try.ipynb|test_train.py|main",
    },
    "code_commit": {
        "placeholder": (
            "0000000|0000000000000000000000000000000000000000|fffffff|AAAAAAA|deadbeef|deadbeefdeadbeef|1234567|none|HEAD|"
            "latest"
        ),
        None: "8f3c1d2|main|0000001|00000a1b2c3d|deadb0b|v1.0.0",
    },
    "business_purpose": {
        "placeholder": "n/a|test|TODO|use case|lorem ipsum dolor sit amet|purpose",
        "negative": "no",
        None: (
            "Pending payments are classified|Which loans should be approved?|No-show prediction|Test selection in CI|"
            "Unknown-caller detection|Failed payments forecast|None-or-one matching"
        ),
    },
    "description": {"placeholder": "TODO|-|tbd|test", None: "Test set of loans|Default probability"},
    "dataset_reference": {
        "placeholder": "unknown|dataset|data|pending export",
        None: "test.loans|s3://x/y?z|2026-03-01",
    },
    "deployment_status": {"placeholder": "unknown|n/a|status", None: "no|false|pending|failed|not deployed|serving"},
    "risk_category": {"placeholder": "TBD|pending|not assessed|high?|minimal ?", "negative": "no", None: "high|tier 1"},
    "data_sensitivity": {"placeholder": "unknown|n/a|none?", None: "none|public|class 7"},
    "privacy_assessment_status": {
        "placeholder": "unknown|-|completed?|completed? 2099-01-01|done (?)|unclear",
        None: "n/a|none|no|failed|pending|done",
    },
    "lifecycle_stage": {None: "none|TBD|test|unknown"},
    "regulatory_scope": {"placeholder": "n/a|TBD|none", None: "EU AI Act|Non-EU"},
}


@pytest.mark.parametrize(
    ("field", "text", "state"),
    [
        pytest.param(field, text, state, id=f"{field}-{text}")
        for field, texts in TEXTS.items()
        for state, line in texts.items()
        for text in line.split("|")
    ],
)
def test_a_text_has_the_state(field: str, text: str, state: str | None) -> None:
    assert INDEX.value_state(field, text) == state


def test_a_field_whose_text_is_no_value_is_null_and_the_origin_keeps_the_text() -> None:
    result = normalized(inputs(version_tags={"approved_by": " rejected by Ada "}))

    assert result.record.compliance_approver is None
    assert result.origins["compliance_approver"] == Origin(
        "version tag", "approved_by", " rejected by Ada ", state=ValueState.NEGATIVE
    )
    assert sentences(result) == [
        "compliance_approver: version tag 'approved_by' is 'rejected by Ada', a negation, which is no value"
    ]


@pytest.mark.parametrize("text", ["TBD", "no", "failed", "root"])
def test_a_later_source_replaces_a_text_that_is_no_value(text: str) -> None:
    result = normalized(inputs(version_tags={"owner": text}, model_tags={"owner": "risk-team"}))

    assert (result.record.owner, result.origins["owner"].source) == ("risk-team", "model tag")


def test_a_placeholder_over_the_account_of_a_machine_names_no_owner() -> None:
    result = normalized(inputs(version_tags={"owner": "TBD"}, run_tags={"mlflow.user": "root"}))

    assert result.record.owner is None
    assert result.origins["owner"].raw == "TBD"


def test_the_account_of_a_machine_gives_way_to_the_tenants_default() -> None:
    mapping = default_mapping().extended_by(TagMapping.model_validate({"defaults": {"owner": "risk-team"}}))

    assert normalize(inputs(run_tags={"mlflow.user": "root"}), mapping).record.owner == "risk-team"


@pytest.mark.parametrize(
    ("version_tags", "run_tags"),
    [
        ({"approved_by": "rejected by Ada"}, {"approved_by": "Bob"}),
        ({"approved_by": "pending"}, {"approved_by": "Bob"}),
        ({"approver": "Bob", "approved_by": "rejected by Ada"}, {}),
        ({"security_assessment": "failed"}, {"pentest": "SEC-14"}),
        ({"security_assessment": "SEC-14", "pentest": "failed: 3 findings"}, {}),
        ({"dpia": "unknown"}, {"dpia": "completed"}),
    ],
)
def test_no_other_tag_replaces_what_the_nearest_source_states_in_an_attestation(
    version_tags: dict[str, str], run_tags: dict[str, str]
) -> None:
    record = normalized(inputs(version_tags=version_tags, run_tags=run_tags)).record

    assert (
        record.compliance_approver,
        record.security_assessment_version,
        record.privacy_assessment_status,
    ) == (None, None, None)


def test_a_denial_and_an_approval_are_a_conflict() -> None:
    result = normalized(inputs(version_tags={"approved_by": "Ada"}, run_tags={"approved_by": "rejected by Bob"}))

    assert result.record.compliance_approver == "Ada"
    assert (
        "compliance_approver: version tag 'approved_by' says 'Ada' and was used, but run tag 'approved_by' says "
        "'rejected by Bob'"
    ) in sentences(result)


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({"dpia": "completed 2026-02-01", "privacy_review": "not done"}, "not_done"),
        ({"dpia": "completed 2026-02-01", "privacy_review": "in progress"}, "in_progress"),
        ({"dpia": "completed 2026-02-01", "privacy_review": "expired"}, "expired"),
        ({"dpia": "completed 2026-02-01", "dpia_done": "no"}, "not_done"),
        ({"dpia": "completed 2026-02-01", "dpia_required": "no"}, "completed"),
        ({"dpia": "completed 2026-02-01", "privacy_review": "TBD"}, "completed"),
    ],
)
def test_a_status_that_denies_an_assessment_precedes_the_other_tags_of_its_object(
    tags: dict[str, str], status: str
) -> None:
    assert normalized(inputs(version_tags=tags)).record.privacy_assessment_status == status


def test_a_refusal_in_any_words_conflicts_with_a_completed_assessment() -> None:
    result = normalized(inputs(version_tags={"dpia": "completed"}, model_tags={"dpia": "never"}))

    assert (
        "privacy_assessment_status: version tag 'dpia' says completed and was used, but model tag 'dpia' says 'never'"
    ) in sentences(result)


@pytest.mark.parametrize("denial", ["never", "not done"])
def test_two_denials_are_not_a_conflict(denial: str) -> None:
    result = normalized(inputs(version_tags={"dpia": "not done"}, model_tags={"dpia": denial}))

    assert [finding for finding in result.findings if finding.kind == "conflict"] == []


def test_what_mlflows_client_records_by_itself_is_no_finding() -> None:
    run = TrainingRun("r1", user_id="root", tags={"mlflow.user": "root", "mlflow.source.name": "ipykernel_launcher.py"})

    assert normalized(replace(inputs(), run=run)).findings == ()


def test_a_tenant_states_what_is_a_value_and_what_is_none() -> None:
    states = {
        "owner": {"ordinary": ["test", "svc-*", "root"], "placeholder": ["Abteilung", "leer *"]},
        "any": {"negative": ["njet"]},
    }
    index = mapping_index(default_mapping().extended_by(TagMapping.model_validate({"value_states": states})))

    assert [index.value_state("owner", text) for text in ("test", "svc-ml", "root")] == [None, None, None]
    assert [index.value_state("owner", text) for text in ("abteilung", "leer bis Mai")] == ["placeholder"] * 2
    assert index.value_state("business_purpose", "Njet!") == "negative"
    assert index.value_state("business_purpose", "test") == "placeholder"


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"lifecycle_stage": {"placeholder": ["a"]}}, "'lifecycle_stage' is not a field whose text may be no value"),
        ({"owner": {"empty": ["a"]}}, "'empty' is not a state of a text; write one of placeholder, negative"),
        ({"owner": {"placeholder": ["*"]}}, "'*' matches every text"),
        ({"owner": {"placeholder": ["a"], "ordinary": ["A"]}}, "'A' stands for both placeholder and ordinary"),
        ({"owner": {"placeholder": [False]}}, "put the word in quotes"),
    ],
)
def test_a_wrong_entry_is_refused(states: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TagMapping.model_validate({"value_states": states})

    assert message in str(caught.value)
