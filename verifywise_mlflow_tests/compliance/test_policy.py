"""An invalid policy file is rejected with the file, the line, the rule and the correction."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, load_policy
from verifywise_mlflow_tests.compliance.policy_texts import HEAD, RULE, load


def test_a_file_without_errors_is_a_policy(tmp_path: Path) -> None:
    policy = load(tmp_path, HEAD + RULE)

    assert (policy.id, [rule.id for rule in policy.rules]) == ("ours", ["owner"])


@pytest.mark.parametrize(
    ("replacement", "original", "message"),
    [
        pytest.param("sevrity: high", "severity: high", "8: rule 'owner': sevrity: there is no such field", id="field"),
        pytest.param("severity: grave", "severity: high", "8: rule 'owner': severity: Input should be", id="severity"),
        pytest.param("id: Owner!", "id: owner", "5: rule 'Owner!': id: String should match", id="identifier"),
        pytest.param(
            'requires: ownr != ""',
            'requires: owner != ""',
            "11: rule 'owner': requires: undeclared reference to 'ownr' (line 1, column 1 of the expression)",
            id="unknown field of a record",
        ),
        pytest.param(
            "requires: has(stated.ownr)",
            'requires: owner != ""',
            "11: rule 'owner': requires: undeclared reference to 'stated.ownr'",
            id="unknown stated field",
        ),
        pytest.param(
            "requires: owner > 3",
            'requires: owner != ""',
            "11: rule 'owner': requires: found no matching overload for '_>_' applied to '(string, int)'",
            id="type",
        ),
        pytest.param(
            "requires: owner", 'requires: owner != ""', "11: rule 'owner': requires: it gives a", id="not a condition"
        ),
        pytest.param(
            "requires: '!(\"runs\" in unread)'",
            'requires: owner != ""',
            "11: rule 'owner': requires: 'runs' is no kind of object",
            id="no kind of object",
        ),
        pytest.param("requires: owner ==", 'requires: owner != ""', "11: rule 'owner': requires: Syntax", id="syntax"),
        pytest.param(
            "requires: true", 'requires: owner != ""', "11: rule 'owner': requires: write a text", id="no text"
        ),
        pytest.param("remedy: ''", "remedy: Tag it.", "10: rule 'owner': remedy: String should have", id="empty"),
        pytest.param(
            "framework: NIST, clause",
            "framework: NIST AI RMF, clause",
            "13: rule 'owner': references.0.framework: there is no framework 'NIST'; the frameworks are EU AI Act,",
            id="unknown framework",
        ),
        pytest.param(
            "clause: GOVERN 9.1",
            "clause: GOVERN 2.1",
            "13: rule 'owner': references.0.clause: the catalog has no clause 'GOVERN 9.1' of NIST AI RMF",
            id="unknown clause",
        ),
        pytest.param(
            "framework: EU AI Act, clause: Art. 12",
            "framework: NIST AI RMF, clause: GOVERN 2.1",
            "13: rule 'owner': references.0.clause: MLflow shows nothing of EU AI Act Art. 12: The logs of",
            id="a clause that MLflow shows nothing of",
        ),
        pytest.param(
            "confidence: high, applicable_from: 2027-12-02}",
            "confidence: high}",
            "13: rule 'owner': references.0: applicable_from has no source",
            id="a date from nowhere",
        ),
        pytest.param(
            "{ownr: risk-team}",
            "{owner: risk-team}",
            "15: rule 'owner': examples.0.record.ownr: a record has",
            id="example",
        ),
        pytest.param(
            "verdict: ok", "verdict: pass", "16: rule 'owner': examples.0.verdict: Input should be", id="verdict"
        ),
        pytest.param("title: A\n    title: B", "title: Every model has an owner", "8: is not YAML: ", id="twice"),
        pytest.param("? [a]\n    : 1", "severity: high", "8: is not YAML: found unhashable key", id="key"),
    ],
)
def test_an_error_in_a_rule_names_its_location(tmp_path: Path, replacement: str, original: str, message: str) -> None:
    assert (HEAD + RULE).count(original) == 1

    with pytest.raises(PolicyError) as raised:
        load(tmp_path, (HEAD + RULE).replace(original, replacement))

    assert f"{tmp_path / 'ours.yaml'}:{message}" in str(raised.value)


def test_a_rule_without_references_is_rejected(tmp_path: Path) -> None:
    without = RULE.replace(
        "    references:\n      - {framework: NIST AI RMF, clause: GOVERN 2.1, confidence: high}\n", ""
    )

    with pytest.raises(PolicyError, match=r"ours\.yaml:5: rule 'owner': references: this field is required"):
        load(tmp_path, HEAD + without)


def test_a_rule_with_an_empty_list_of_references_is_rejected(tmp_path: Path) -> None:
    reference = "references:\n      - {framework: NIST AI RMF, clause: GOVERN 2.1, confidence: high}"

    with pytest.raises(PolicyError, match=r"ours\.yaml:12: rule 'owner': references: the list is empty"):
        load(tmp_path, HEAD + RULE.replace(reference, "references: []"))


def test_a_duplicate_rule_id_is_rejected_at_the_second_rule(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"ours\.yaml:17: rule 'owner': id: another rule has this id already"):
        load(tmp_path, HEAD + RULE + RULE)


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    broken = RULE.replace("severity: high", "severity: grave").replace("version: 1", "version: 0")

    with pytest.raises(PolicyError) as raised:
        load(tmp_path, HEAD + broken)

    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "write id, version, title and rules at the top level", id="empty"),
        pytest.param("- a\n", "write id, version, title and rules at the top level", id="a list"),
        pytest.param(HEAD, "4: rules: ", id="no rules"),
        pytest.param(HEAD + "  owner: {}\n", "4: rules: ", id="rules by name"),
        pytest.param(HEAD + "  - owner\n", "5: rule number 1: ", id="a rule that is a string"),
        pytest.param("id: [\n", "2: is not YAML: ", id="broken"),
        pytest.param("\nid: 2026-13-01\n", "2: is not YAML: this value is impossible", id="impossible date"),
        pytest.param('files: ["a\\0.yaml"]\n', "a\\x00.yaml': cannot be read", id="impossible file name"),
        pytest.param("\nid: \x01\n", "2: is not YAML: it contains the character U+0001", id="control character"),
        pytest.param("a: &a [x]\nb: [*a, *a]\n", "2: is not YAML: an alias", id="aliases, of which ten make a billion"),
        pytest.param("&a {id: *a}\n", "1: is not YAML: an alias", id="contains itself"),
        pytest.param(f"id: {'[' * 3000}{']' * 3000}\n", " is nested too deeply", id="nested too deep"),
        pytest.param(f"id: {'x' * 2_000_000}\n", " has more than 2,000,000 bytes", id="huge"),
        pytest.param("a: !!python/object:os.system x\n", "1: is not YAML: ", id="tag"),
        pytest.param("3: x\n", "1: 3: Keys should be strings", id="key"),
        pytest.param(
            HEAD + RULE.replace("version: 1", "version: 202611301859"),
            "rule 'owner': version: Input should be less than or equal to 2147483647",
            id="a version that the store cannot hold",
        ),
    ],
)
def test_a_file_that_is_not_a_policy_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(tmp_path, text)

    assert str(raised.value).startswith(str(tmp_path / "ours.yaml"))
    assert message in str(raised.value)


def test_a_missing_or_binary_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"id: \xe9")

    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load_policy(tmp_path / "none.yaml")
    with pytest.raises(PolicyError, match="is not UTF-8 text"):
        load_policy(tmp_path / "latin.yaml")


THRESHOLDS = HEAD.replace("rules:\n", "thresholds: {most: 5}\nrules:\n")

COMPARING = RULE.replace('requires: owner != ""', "requires: version_number < thresholds.most")


def test_a_policy_may_state_the_level_of_a_metric_that_no_rule_names(tmp_path: Path) -> None:
    text = THRESHOLDS.replace("most: 5", "least_accuracy: 0.8") + RULE

    assert load(tmp_path, text).thresholds == {"least_accuracy": 0.8}


def test_a_policy_defines_the_thresholds_that_its_rules_compare_with(tmp_path: Path) -> None:
    assert load(tmp_path, THRESHOLDS + COMPARING).thresholds == {"most": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            THRESHOLDS + COMPARING.replace("thresholds.most", "thresholds.moost"),
            "12: rule 'owner': requires: the policy has no threshold 'moost' (defined: most)",
        ),
        (HEAD + COMPARING, "11: rule 'owner': requires: the policy has no threshold 'most' (defined: none)"),
        (THRESHOLDS + RULE, "4: thresholds.most: no rule compares with it"),
        (
            THRESHOLDS.replace("most", "least_acuracy") + RULE,
            "4: thresholds.least_acuracy: no rule compares with it",
        ),
        (THRESHOLDS.replace("5", "many") + COMPARING, "4: thresholds.most: Input should be a valid number"),
        (THRESHOLDS.replace("5", "true") + COMPARING, "4: thresholds.most: Input should be a valid number"),
        (THRESHOLDS.replace("5", ".inf") + COMPARING, "4: thresholds.most: Input should be a finite number"),
        (THRESHOLDS.replace("most", "Most") + COMPARING, "4: thresholds.Most: String should match"),
    ],
)
def test_an_error_in_a_threshold_names_its_location(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(tmp_path, text)

    assert f"{tmp_path / 'ours.yaml'}:{message}" in str(raised.value)


def load_two_files(tmp_path: Path, name: str, rule_file: str) -> Policy:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "owners.yaml").write_text(rule_file, encoding="utf-8")
    return load(tmp_path, HEAD.replace("rules:\n", f"files:\n  - {name}\n"))


def test_a_policy_may_be_split_into_several_files(tmp_path: Path) -> None:
    second = RULE.replace("id: owner", "id: second")

    policy = load_two_files(tmp_path, "more/owners.yaml", "rules:\n" + RULE + second)

    assert [rule.id for rule in policy.rules] == ["owner", "second"]
    (tmp_path / "one").mkdir()
    assert policy.digest == load(tmp_path / "one", HEAD + RULE + second).digest


@pytest.mark.parametrize(
    ("name", "rule_file", "message"),
    [
        pytest.param(
            "more/owners.yaml",
            "rules:\n" + RULE.replace("severity: high", "severity: grave"),
            "more/owners.yaml:5: rule 'owner': severity: Input should be",
            id="a rule",
        ),
        pytest.param(
            "more/owners.yaml",
            "rules:\n" + RULE + RULE,
            "more/owners.yaml:14: rule 'owner': id: another rule has this id already",
            id="a second rule",
        ),
        pytest.param(
            "more/owners.yaml", "id: ours\n", "more/owners.yaml:1: write rules at the top level", id="not a rule file"
        ),
        pytest.param("more/owners.yaml", "rules: [\n", "more/owners.yaml:2: is not YAML", id="broken"),
        pytest.param("more/none.yaml", "", "ours.yaml:5: files: ", id="not there"),
        pytest.param("../secret.yaml", "", "ours.yaml:5: files: '../secret.yaml' is outside the folder", id="above"),
        pytest.param("/etc/passwd", "", "ours.yaml:5: files: '/etc/passwd' is outside the folder", id="elsewhere"),
        pytest.param("[a]", "", "ours.yaml:4: files: write a list of paths", id="no path"),
    ],
)
def test_an_error_in_a_rule_file_names_that_file(tmp_path: Path, name: str, rule_file: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load_two_files(tmp_path, name, rule_file)

    assert f"{tmp_path}/{message}" in str(raised.value)


def test_a_reference_has_the_catalogs_date_unless_it_states_another(tmp_path: Path) -> None:
    ai_act_rule = RULE.replace("framework: NIST AI RMF, clause: GOVERN 2.1", "framework: EU AI Act, clause: Art. 6")
    (tmp_path / "other").mkdir()

    (catalog_reference,) = load(tmp_path, HEAD + ai_act_rule).rules[0].references
    (rule_reference,) = (
        load(
            tmp_path / "other",
            HEAD
            + ai_act_rule.replace(
                "confidence: high", "confidence: high, applicable_from: 2028-01-01, source: our counsel"
            ),
        )
        .rules[0]
        .references
    )

    assert (str(catalog_reference.applicable_from), str(rule_reference.applicable_from)) == ("2027-12-02", "2028-01-01")
    assert (catalog_reference.source or "").startswith("as secondary sources report the Digital Omnibus")


@pytest.mark.parametrize(
    ("replacement", "original"),
    [
        ('requires: owner != "x"', 'requires: owner != ""'),
        ("version: 2", "version: 1"),
        ("severity: low", "severity: high"),
        ("clause: GOVERN 1.3", "clause: GOVERN 2.1"),
    ],
)
def test_a_changed_rule_has_another_digest(tmp_path: Path, replacement: str, original: str) -> None:
    assert load(tmp_path, HEAD + RULE).digest != load(tmp_path, HEAD + RULE.replace(original, replacement)).digest


def test_examples_and_layout_do_not_change_the_digest(tmp_path: Path) -> None:
    reformatted = (
        "# ours\n" + HEAD + RULE.replace("{owner: risk-team}", "{owner: others}").replace("Tag it.", '"Tag it."')
    )

    assert load(tmp_path, reformatted).digest == load(tmp_path, HEAD + RULE).digest
