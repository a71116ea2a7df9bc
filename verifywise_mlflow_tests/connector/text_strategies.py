"""Texts and numbers as people really put into MLflow, and worse, for hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

T = TypeVar("T")

_SIGNS = (
    "'\"`´’“”„«»‚‛"  # quotes of all kinds
    "%_*\\/:;,?#&=+<>{}[]()$@!|^~-."  # what queries, paths, filters and templates make something of
    "\n\r\t\v\f\x01\x08\x1b\x1f\x7f\x85\u2028\u2029"  # line ends and control characters
    " \u00a0\u2003\u3000\u200b\ufeff"  # blanks, some of no width
    "שלוםمرحبا\u200f\u202e\u2066"  # from right to left, and the signs that turn the direction
    "äÅe\u0301ßıİſﬁÆ信用र्मि"  # composed, decomposed, and without a simple other case
    "🙂👩‍👩‍👧🇪🇺𝔘𠀋\U0010ffff\ue000"  # beyond 16 bits, joined, private
    "\u2400\u241b"  # what our own escapes in Postgres are made of
)
_BLANKS = st.text(st.sampled_from(" \t\n\u00a0"), max_size=2)
_CHARACTERS = st.sampled_from(_SIGNS) | st.characters(exclude_categories=["Cs"], exclude_characters="\x00")

texts = st.builds("{}{}{}".format, _BLANKS, st.text(_CHARACTERS, min_size=1, max_size=30), _BLANKS)
"""Any text but NUL and lone surrogates, also with blanks around it."""

values = texts | st.sampled_from(
    ["null", "None", "NaN", "true", "0", "-0.0", "1e999", "{}", "[]", '{"a": "b"}', "\\u0000", "%00", "%s", "{0}"]
)
"""Texts, and those that look like something else."""

words = st.text(
    st.characters(categories=["L", "N"], include_characters="_-") | st.sampled_from("äİſ信𝔘ﬁ٣"), min_size=1, max_size=20
)
"""What MLflow takes for an alias: letters and digits of any script."""

keys = st.text(
    st.characters(categories=["L", "N"], include_characters="_-. ") | st.sampled_from("äİſ信𝔘ﬁ٣"),
    min_size=1,
    max_size=20,
) | st.lists(words, min_size=2, max_size=3).map("/".join)
"""What MLflow takes for the key of a tag, a parameter or a metric."""

numbers = st.floats(width=64) | st.sampled_from(
    [float("nan"), 0.0, 5e-324, -2.2e-308, 1.7976931348623157e308, -1.7976931348623157e308, 2.0**53 + 2, 0.1 + 0.2]
)
"""Any number that a metric can have, also those that are none."""


@dataclass(slots=True)
class AcceptanceCount:
    """How much of what was offered the server has taken: a test of nothing but refusals shows nothing."""

    accepted: int = 0
    refused: int = 0

    def offer(self, write: Callable[[], T]) -> T | None:
        """Write something into MLflow; return what comes back, or none if MLflow finds a value wrong."""
        try:
            written = write()
        except MlflowException as error:
            if error.get_http_status_code() != 400:  # type: ignore[no-untyped-call]
                raise
            self.refused += 1
            return None
        self.accepted += 1
        return written

    @property
    def accepted_share(self) -> float:
        """The share that was taken."""
        return self.accepted / max(self.accepted + self.refused, 1)
