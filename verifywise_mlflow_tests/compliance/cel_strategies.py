"""Random expressions of the rule language, and records to evaluate them on."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

PATHS = st.sampled_from(
    ["metrics.a", "metrics.b", "metrics.missing", 'metrics["a"]', "runtime_environment.a.a", "thresholds.most", "x"]
)
CONSTANTS = st.sampled_from(
    ["1", "-2", "0", "1.5", '"a"', '""', '"2026-03-01T00:00:00Z"', "true", "null", '["a", "b"]', "[1, 2.0]"]
)
ANY_TYPE = st.one_of(
    PATHS,
    st.builds("({} {} {})".format, PATHS, st.sampled_from(["+", "-", "*", "/"]), PATHS),
    st.builds("{}({})".format, st.sampled_from(["size", "double", "-"]), PATHS),
    st.builds("({} ? {} : {})".format, PATHS, PATHS, PATHS),
    st.builds("{}.{}(x, x)".format, PATHS, st.sampled_from(["filter", "map"])),
)
COMPARISONS = ["==", "!=", "<", "<=", ">", ">=", "in"]
METHODS = ['endsWith("a")', 'startsWith("a")', 'contains("a")', 'matches("^a")']
TIMES = ["created_at", "today", "timestamp(metrics.a)", "created_at - duration('36h')"]
SIMPLE_CONDITIONS = st.one_of(
    PATHS,
    st.builds("{} {} {}".format, ANY_TYPE, st.sampled_from(COMPARISONS), ANY_TYPE),
    st.builds(
        "{} {} {}".format, PATHS, st.sampled_from(["==", "!=", "in"]), st.sampled_from(['["a", "b"]', "[1, 2.0]"])
    ),
    st.builds("{} {} {}".format, PATHS, st.sampled_from(COMPARISONS[:2]), CONSTANTS),
    st.builds("{} {} {}".format, st.sampled_from(['"a"', "1", "0.0"]), st.sampled_from(COMPARISONS), PATHS),
    st.builds("{}.{}".format, PATHS, st.sampled_from(METHODS)),
    st.builds("has({}.a)".format, PATHS.filter(lambda path: path != "x")),
    st.builds("{} {} {}".format, st.sampled_from(TIMES), st.sampled_from(COMPARISONS[:6]), st.sampled_from(TIMES)),
    st.builds("({} - {}).getHours() / 24 <= {}".format, st.sampled_from(TIMES), st.sampled_from(TIMES), PATHS),
    st.sampled_from(['owner == "a"', 'owner in ["a"]', "version_number < 2", '"a" in unread', "size(unread) > 1"]),
)
EXPRESSIONS = st.recursive(
    SIMPLE_CONDITIONS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds(
            "{}.{}(x, {})".format,
            st.sampled_from(["metrics", "metrics.a", "evidence_files", "unread", "[1, 2]", '["a"]']),
            st.sampled_from(["exists", "all", "filter", "map", "exists_one"]),
            inner,
        ),
    ),
    max_leaves=6,
).map(lambda text: f"[1].map(x, {text})[0]")
NUMBERS = st.sampled_from([0, 1, -1, 2, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, 1.0, -1.5, math.nan, math.inf])
SINGLE_VALUES = st.one_of(
    st.none(), st.booleans(), NUMBERS, st.sampled_from(["", "a", "ba", "2026-03-01T00:00:00Z", "é"])
)
VALUES = st.recursive(
    SINGLE_VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=4,
)
MAPS = st.fixed_dictionaries({"a": VALUES, "b": VALUES}, optional={"c": VALUES})
INSTANTS = st.sampled_from([NOON, NOON.astimezone(timezone(timedelta(hours=5))), NOON + timedelta(microseconds=1)])
RECORDS = st.fixed_dictionaries(
    {
        "thresholds": st.fixed_dictionaries({"most": NUMBERS}),
        "unread": st.lists(st.sampled_from("ab"), max_size=2),
        "metrics": MAPS,
        "created_at": INSTANTS,
    },
    optional={
        "runtime_environment": st.fixed_dictionaries({"a": MAPS}),
        "evidence_files": st.lists(VALUES, max_size=3),
        "owner": st.sampled_from(["a", "b"]),
        "version_number": st.integers(1, 3),
        "today": INSTANTS,
    },
)
