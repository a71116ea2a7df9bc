from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.normalizer.same_person import SamePerson, same_person_fields
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized

CERTAIN = """
Ada Lovelace|ADA LOVELACE|AdaLovelace|Adá Lovelace|Dr. Ada Lovelace|Ada M. Lovelace|Ada King Lovelace|A. Lovelace
ada.lovelace@bank.example|ada.lovelace|ada_lovelace|alovelace|a.lovelace|a_lovelace|lovelace.ada|lovelacea|adal
alovelace2|@alovelace|BANK\\alovelace|Ada Lovelace (Head of Risk)|Head of Risk (Ada Lovelace)
Ada Lovelace <ada@bank.example>|Ada Lovelace, 2026-02-02|Ada Lovelace 2026-02-02|approved by Ada Lovelace
"""
UNCLEAR = """
Ada|Lovelace|Lovelace, Ada|Lovelace, A. (CRO)|Ada Lovlace|Ad\N{CYRILLIC SMALL LETTER A} Lovelace|al|adlov
adlov01|alovelac|u123456|123456|bob, ada|CN=Ada Lovelace,OU=Risk|Ada Lovelace, Head of Risk|Ada Lovelace - Model Owner
Ada Lovelace and CRO|Bob Stone (for Ada Lovelace)
"""
NOBODY, OWNER = SamePerson((), ()), SamePerson(("owner",), ())
OTHERS = """
Bob Stone|Anna Lovelace|Ada Byron|bstone|bob.stone@bank.example|b.lovelace|Stone, Bob|R. Stone|王伟|risk-team
Head of Risk|model-validation-team|data|Bob Stone (Head of Risk)
Ada Lovelace, Bob Stone|Ada Lovelace; bob.stone@bank.example|Ada Lovelace and Bob Stone|Ada Lovelace & Dr. Bob Stone
Ada Lovelace / Bob van Stone|Lovelace, Ada; Stone, Bob|Risk Committee (Ada Lovelace, Bob Stone)
"""


def texts(lines: str) -> list[str]:
    return lines.strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("approver", texts(CERTAIN))
@pytest.mark.parametrize("field", ["owner", "training_user"])
def test_an_approver_who_is_the_owner_or_the_runs_user_is_the_same_person(approver: str, field: str) -> None:
    people = {field: "Ada Lovelace", "compliance_approver": approver}

    assert same_person_fields(people) == {"compliance_approver": SamePerson((field,), ())}


@pytest.mark.parametrize("approver", texts(UNCLEAR))
def test_an_approver_who_cannot_be_told_from_the_owner_may_be_the_same_person(approver: str) -> None:
    people = {"owner": "Ada Lovelace", "compliance_approver": approver}

    assert same_person_fields(people) == {"compliance_approver": SamePerson((), ("owner",))}


@pytest.mark.parametrize("approver", texts(OTHERS))
def test_an_approver_who_is_certainly_somebody_else_is_another_person(approver: str) -> None:
    people = {"owner": "Ada Lovelace", "compliance_approver": approver}

    assert same_person_fields(people) == {"compliance_approver": NOBODY}


@pytest.mark.parametrize(
    ("people", "same"),
    [
        # Bob is not a second pair of eyes if he trained the model.
        (
            {"owner": "Ada Lovelace", "training_user": "bstone", "compliance_approver": "Ada Lovelace, Bob Stone"},
            {"compliance_approver": SamePerson(("owner", "training_user"), ())},
        ),
        (
            {"owner": "Ada Lovelace", "training_user": "bstone", "compliance_approver": "Ada Lovelace, Carol Shaw"},
            {"compliance_approver": NOBODY},
        ),
        ({"owner": "risk-team", "compliance_approver": "Risk Team"}, {"compliance_approver": OWNER}),
        ({"owner": "Ada Lovelace, Bob Stone", "compliance_approver": "bob.stone"}, {"compliance_approver": OWNER}),
        ({"owner": "Jörg Müller", "compliance_approver": "joerg.mueller"}, {"compliance_approver": OWNER}),
        ({"owner": "u123456", "compliance_approver": "u123457"}, {"compliance_approver": NOBODY}),
        ({"owner": "u123456", "compliance_approver": "Bob Stone (u123457)"}, {"compliance_approver": NOBODY}),
        ({"owner": "u123456", "compliance_approver": "Bob Stone (u123456)"}, {"compliance_approver": OWNER}),
        (
            {"owner": "Ada", "training_user": "alovelace", "compliance_approver": "Ada Lovelace"},
            {"compliance_approver": SamePerson(("training_user",), ("owner",))},
        ),
        (
            {"compliance_approver": "Bob Stone", "reviewer": "bstone", "validator": "Carol Shaw, Bob Stone"},
            {
                "compliance_approver": SamePerson(("reviewer", "validator"), ()),
                "reviewer": SamePerson(("compliance_approver", "validator"), ()),
                "validator": NOBODY,
            },
        ),
        ({"owner": "Ada Lovelace", "training_user": "ada"}, {}),
    ],
)
def test_each_attestation_names_the_fields_with_the_same_person(
    people: dict[str, str], same: dict[str, SamePerson]
) -> None:
    assert same_person_fields(people) == same


@given(st.text(), st.text())
def test_any_two_texts_can_be_compared_and_equal_ones_are_the_same_person(text: str, other: str) -> None:
    same_person_fields({"owner": text, "compliance_approver": other})
    same = same_person_fields({"owner": f"{text} Lovelace", "compliance_approver": f"{text} Lovelace"})

    assert same == {"compliance_approver": OWNER}


def test_a_long_text_takes_no_time() -> None:
    text = ", ".join(f"{'a' * 40} {'a' * 30} {number}" for number in range(10_000))
    started = time.process_time()

    same_person_fields({"owner": "a" * 100_000, "training_user": text, "compliance_approver": text})

    assert time.process_time() - started < 0.5


def test_the_origin_of_an_attestation_has_the_fields_with_the_same_person() -> None:
    tags = {"owner": "Ada Lovelace", "approved_by": "ada.lovelace@bank.example, 2026-02-02", "reviewed_by": "Bob Stone"}

    origins = normalized(inputs(version_tags=tags, run_tags={"mlflow.user": "stone"})).origins

    assert origins["compliance_approver"].same_person_as == ("owner",)
    assert origins["reviewer"].may_be_same_person_as == ("training_user",)
    assert origins["owner"].same_person_as == ()


@pytest.mark.parametrize("approver", ["rejected by Ada", "root"])
def test_a_text_without_a_value_names_nobody(approver: str) -> None:
    origins = normalized(inputs(version_tags={"owner": "Ada", "approved_by": approver})).origins

    assert origins["compliance_approver"].same_person_as == ()
