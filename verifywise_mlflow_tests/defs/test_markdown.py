"""Text from a server is inert in a check's description."""

from __future__ import annotations

from html import escape

import pytest
from markdown_it import MarkdownIt

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.checks.data_quality import freshness_result, stage_check_results
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import Note, Progress, StageReport
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.freshness import StageFreshness
from verifywise_mlflow_tests.support.evaluation_fixtures import tenant_with_policies


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("failed: it answered 500: ![x](https://evil.example/t.png) [log in again](https://evil.example)", None),
        ("failed: <img src=x> **b** www.evil.example &amp; https://evil.example", None),
        ("failed: `` ` ``` ` [a](https://evil.example)", None),
        ("`[a](https://evil.example)`", None),
        ("failed: \n\n# a\u202eb", r"failed: \n\n# a\u202eb"),
    ],
)
def test_text_from_a_server_is_literal_where_dagster_renders_markdown(
    store: Store, text: str, visible: str | None
) -> None:
    stale = StageFreshness("canonical_records", None, is_stale=True)
    report = StageReport(Stage.MODEL_VERSIONS, Progress(read=1, notes=[Note(text), Note("more")]), 1, 1, 0.1)

    (complete,) = stage_check_results(Sync(tenant_with_policies(), store), report)
    rendered = [
        MarkdownIt("js-default").render(result.description or "")
        for result in (freshness_result([stale], text), complete)
    ]

    code = f"<code>{escape(visible or text)}</code>"
    assert rendered[0].endswith(f". {code}</p>\n")
    assert rendered[1] == f"<p>{code}; <code>more</code></p>\n"
