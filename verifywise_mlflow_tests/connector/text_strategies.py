"""Hypothesis strategies for texts and numbers that people write into MLflow, and for hostile ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

T = TypeVar("T")

_SPECIAL_CHARACTERS = (
    "'\"`´’“”„«»‚‛"  # quotes of all kinds
    "%_*\\/:;,?#&=+<>{}[]()$@!|^~-."  # special in queries, paths, filters and templates
    "\n\r\t\v\f\x01\x08\x1b\x1f\x7f\x85\u2028\u2029"  # line ends and control characters
    " \u00a0\u2003\u3000\u200b\ufeff"  # spaces, some of zero width
    "שלוםمرحبا\u200f\u202e\u2066"  # right-to-left text, and direction marks
    "äÅe\u0301ßıİſﬁÆ信用र्मि"  # composed, decomposed, and without simple case mapping
    "🙂👩‍👩‍👧🇪🇺𝔘𠀋\U0010ffff\ue000"  # outside the basic plane, joined, private use
    "\u2400\u241b"  # used by our own escapes in Postgres
)
_SPACES = st.text(st.sampled_from(" \t\n\u00a0"), max_size=2)
_CHARACTERS = st.sampled_from(_SPECIAL_CHARACTERS) | st.characters(exclude_categories=["Cs"], exclude_characters="\x00")

any_text = st.builds("{}{}{}".format, _SPACES, st.text(_CHARACTERS, min_size=1, max_size=30), _SPACES)
"""Any text without NUL and lone surrogates, also with spaces around it."""

any_value = any_text | st.sampled_from(
    ["null", "None", "NaN", "true", "0", "-0.0", "1e999", "{}", "[]", '{"a": "b"}', "\\u0000", "%00", "%s", "{0}"]
)
"""Any text, and texts that look like another type."""

alias_names = st.text(
    st.characters(categories=["L", "N"], include_characters="_-") | st.sampled_from("äİſ信𝔘ﬁ٣"), min_size=1, max_size=20
)
"""Aliases that MLflow accepts: letters and digits of any script."""

tag_keys = st.text(
    st.characters(categories=["L", "N"], include_characters="_-. ") | st.sampled_from("äİſ信𝔘ﬁ٣"),
    min_size=1,
    max_size=20,
) | st.lists(alias_names, min_size=2, max_size=3).map("/".join)
"""Keys of tags, parameters and metrics that MLflow accepts."""

metric_values = st.floats(width=64) | st.sampled_from(
    [float("nan"), 0.0, 5e-324, -2.2e-308, 1.7976931348623157e308, -1.7976931348623157e308, 2.0**53 + 2, 0.1 + 0.2]
)
"""Any value that a metric can have, including NaN."""


@dataclass(slots=True)
class AcceptanceCount:
    """Counts the values that the server accepted: a test would prove nothing if the server refused all values."""

    accepted: int = 0
    refused_count: int = 0

    def offer(self, write: Callable[[], T]) -> T | None:
        """Write a value into MLflow; return the result, or None if MLflow rejects the value."""
        try:
            result = write()
        except MlflowException as error:
            if error.get_http_status_code() != 400:  # type: ignore[no-untyped-call]
                raise
            self.refused_count += 1
            return None
        self.accepted += 1
        return result

    @property
    def accepted_share(self) -> float:
        """The share of values that were accepted."""
        return self.accepted / max(self.accepted + self.refused_count, 1)
