"""``python -m verifywise_mlflow_tests.redaction.accuracy``: measures the redaction, and updates its page.

It prints, for each place in which values are seen, how many forms of secrets and how many harmless values are redacted.
It writes the table between the markers of ``docs/reference/redaction.md``.
"""

from __future__ import annotations

import sys
from collections import Counter

from verifywise_mlflow_tests.redaction.fake_secrets import fake_secrets
from verifywise_mlflow_tests.redaction.secret_forms import (
    SecretForm,
    harmless_forms,
    is_redacted,
    redacted_text,
    secret_forms,
)
from verifywise_mlflow_tests.support.documentation import ROOT

PAGE = ROOT / "docs" / "reference" / "redaction.md"
BEGIN, END = "<!-- accuracy: begin -->\n", "<!-- accuracy: end -->\n"


def accuracy_table() -> str:
    """Return the figures as a Markdown table."""
    tokens = [
        SecretForm(fake.text, (fake.secret,), "vendors' tokens, alone and in texts", fake.key)
        for fake in fake_secrets()
    ]
    forms = [*secret_forms(), *tokens]
    total, found = Counter(form.seen_in for form in forms), Counter(form.seen_in for form in forms if is_redacted(form))
    harmless = harmless_forms()
    false_positives = sum(redacted_text(key, value) != value for key, value in harmless)
    rows = [f"| {place} | {total[place]} | {found[place]} |" for place in total]
    share = found.total() / total.total()
    return "\n".join(
        (
            "| where secrets are seen | forms | redacted |",
            "|---|---|---|",
            *rows,
            f"| **all secrets** | **{total.total()}** | **{found.total()}** ({share:.1%}) |",
            f"| **harmless values** | **{len(harmless)}** | **{false_positives}** |",
            "",
        )
    )


def page_with(table: str) -> str:
    """Return the page with another table."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Measure, print and write."""
    table = accuracy_table()
    sys.stdout.write(table)
    PAGE.write_text(page_with(table), encoding="utf-8")


if __name__ == "__main__":
    main()
