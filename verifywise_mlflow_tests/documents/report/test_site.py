"""A report is complete, links only to its own pages, shows customers' texts as text, and replaces an earlier report."""

from __future__ import annotations

import html
import json
import os
import subprocess
from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy import text

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.score import score
from verifywise_mlflow.documents.report import site as site_module
from verifywise_mlflow.documents.report.gap_figures import count_gaps
from verifywise_mlflow.documents.report.page_folder import UnsuitableFolderError
from verifywise_mlflow.documents.report.rendering import environment
from verifywise_mlflow.documents.report.site import write_site
from verifywise_mlflow.documents.report.site_paths import TenantPaths
from verifywise_mlflow.documents.report.tenant_state import tenant_state
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.queries.history import record_as_of, verdicts_as_of
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.gaps import open_gaps
from verifywise_mlflow_tests.documents.report.portfolio import FIRST_DAY, HOSTILE, PLANS, REPORT_TIME
from verifywise_mlflow_tests.documents.report.site_reader import SiteReader

PATHS = TenantPaths("acme", is_only=True)
SHOWN_HOSTILE = HOSTILE.replace("\u202e", "\\u202e")


def test_each_model_and_version_has_a_page_and_every_link_leads_to_one(site: SiteReader) -> None:
    expected = {PATHS.model(plan.name) for plan in PLANS} | {
        PATHS.version(plan.name, number) for plan in PLANS for number in range(1, len(plan.versions) + 1)
    }
    assert expected <= site.pages.keys()
    assert site.summary.pages == len(site.pages)

    broken = [
        (path, link)
        for path, page in site.pages.items()
        for link in page.links()
        if not link.startswith("data:,") and not _leads_somewhere(site, path, link)
    ]
    assert broken == []


@pytest.mark.parametrize("badge", Badge)
def test_the_style_has_a_color_for_each_badge(badge: Badge) -> None:
    style = (files("verifywise_mlflow.documents.report") / "assets" / "report.css").read_text(encoding="utf-8")

    name = badge.replace(" ", "-")

    assert f".badge-{name} {{" in style
    assert f".legend--fill-{name} {{ --mark: var(--fill-{name}); }}" in style
    assert f" --fill-{name}: light-dark(" in style


def test_nothing_in_the_site_refers_to_another_host(site: SiteReader) -> None:
    for path, page in site.pages.items():
        for link in page.links():
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc) in {("", ""), ("data", "")}, (path, link)
    for path, content in site.files().items():
        if path.endswith((".css", ".js")):
            text = content.decode()
            assert not any(word in text for word in ("http:", "https:", "url(", "@import", "fetch(", "XMLHttp")), path


def test_texts_of_customers_are_text_and_nothing_else(site: SiteReader) -> None:
    assert any(SHOWN_HOSTILE in page.text for page in site.pages.values())
    for path, page in site.pages.items():
        assert "\u202e" not in page.text, path
        for tag, attributes in page.elements:
            assert tag not in {"img", "iframe", "object", "embed", "style", "b", "base"}, path
            assert not any(name.startswith("on") or name == "style" for name in attributes), (path, tag, attributes)
            if tag == "script":
                assert attributes["src"].endswith(("assets/theme.js", "assets/report.js")), path


def test_a_printed_command_names_a_hostile_model_as_one_argument(site: SiteReader, tmp_path: Path) -> None:
    path = tmp_path / "created"
    name = f"x$(touch {path}) 'y'"
    shown = environment().from_string("verifywise-mlflow pack acme {{ name | shell }} 3").render(name=name)
    commands = [(html.unescape(shown), name)]
    commands += [
        (text, SHOWN_HOSTILE)
        for text in site.page(PATHS.version(HOSTILE, 2)).texts
        if text.startswith("verifywise-mlflow pack acme ")
    ]

    assert len(commands) == 2
    for command, expected in commands:
        printed = ["sh", "-c", command.replace("verifywise-mlflow", "printf '%s\\n'", 1)]
        said = subprocess.run(printed, capture_output=True, text=True, check=True).stdout.splitlines()
        assert said[:3] == ["pack", "acme", expected]
    assert not path.exists()


def test_no_page_has_an_identifier_twice(site: SiteReader) -> None:
    for path, page in site.pages.items():
        assert [name for name, count in Counter(page.ids).items() if count > 1] == [], path


def test_the_portfolio_shows_the_same_figures_as_the_list_of_gaps(site: SiteReader, portfolio: Store) -> None:
    with portfolio.begin("acme") as session:
        gaps = list(open_gaps(session, REPORT_TIME))
        state = tenant_state(session, REPORT_TIME)
    unwaived = [gap for gap in gaps if gap.waiver is None]

    text = site.page("index.html").text
    assert unwaived
    assert len(unwaived) < len(gaps)
    assert f"Open gaps {len(unwaived)}" in text
    assert f"Accepted gaps {len(gaps) - len(unwaived)}" in text
    assert f"Compliance score {state.score:g} %" in text
    versions = sum(len(plan.versions) for plan in PLANS)
    assert f"{versions} versions" in text


def test_the_curve_of_the_score_ends_with_the_score_of_today(portfolio: Store) -> None:
    with portfolio.begin("acme") as session:
        state = tenant_state(session, REPORT_TIME)

    days = [day for day, _ in state.score_history]
    assert days[0] == FIRST_DAY.date()
    assert days == sorted(days)
    assert state.score_history[-1] == (REPORT_TIME.date(), state.score)
    assert len({score for _, score in state.score_history}) > 2


def test_a_past_score_is_that_of_the_verdicts_of_its_day(portfolio: Store) -> None:
    with portfolio.begin("acme") as session:
        state = tenant_state(session, REPORT_TIME)
        day, shown = state.score_history[len(state.score_history) // 2]
        end = datetime.combine(day + timedelta(days=1), time(), UTC)
        verdicts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key in [(plan.name, number) for plan in PLANS for number in range(1, len(plan.versions) + 1)]:
            known = record_as_of(session, key, end)
            if known and known.deleted_at is None and known.record.lifecycle_stage != "archived":
                for verdict in verdicts_as_of(session, key, end):
                    verdicts[verdict.rule_id][verdict.verdict] += 1

    rules = state.policies.rules
    assert shown == score((Severity(rules[rule_id].severity), counts) for rule_id, counts in verdicts.items())


def test_a_chart_has_a_title_a_description_and_its_numbers_as_a_table(site: SiteReader) -> None:
    page = site.page("index.html")
    charts = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(charts) == 5
    for chart in charts:
        assert chart["role"] == "img"
        assert set(chart["aria-labelledby"].split()) <= set(page.ids)
    assert [tag for tag, _ in page.elements].count("figcaption") == len(charts)
    assert [tag for tag, _ in page.elements].count("details") == len(charts)


def test_the_page_of_a_model_shows_its_timeline_versions_and_what_changed(site: SiteReader) -> None:
    text = site.page(PATHS.model("credit-scoring")).text
    assert "stage Production 1 2026-03-02 06:00 UTC 2026-06-05" in text
    assert "stage Production 2 2026-06-05" in text
    assert "alias champion 2" in text
    assert "What changed since version 2" in text
    assert "penalty" in text


def test_coverage_lists_what_mlflow_cannot_show(site: SiteReader) -> None:
    text = site.page(PATHS.coverage).text
    assert "not obtainable from MLflow" in text
    assert "Annex IV(2)(e)" in text


def test_systems_show_what_is_declared_as_declared(site: SiteReader) -> None:
    text = site.page(PATHS.systems).text
    assert "Declared by Grace Okafor on 2026-02-12" in text
    assert "2026-08-31 overdue" in text


def test_completeness_states_the_account_and_the_proof_of_the_listings(site: SiteReader) -> None:
    text = site.page(PATHS.completeness).text
    assert text.count("proven complete") >= 2
    assert "https://mlflow.acme.example" in text
    assert "MLflow 3.17.0" in text


def test_the_same_state_gives_the_same_bytes_from_one_process_and_from_two(
    site: SiteReader, portfolio_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "MIN_VERSIONS_TO_FORK", 1)
    again = write_site(partial(Store, portfolio_url), ["acme"], tmp_path / "again", REPORT_TIME)

    assert SiteReader(again).files() == site.files()


def test_a_report_on_several_tenants_begins_with_all_of_them(portfolio_url: str, tmp_path: Path) -> None:
    summary = write_site(partial(Store, portfolio_url), ["acme", "globex"], tmp_path / "both", REPORT_TIME)

    both = SiteReader(summary)
    links = both.page("index.html").links()
    assert {"tenants/acme/index.html", "tenants/globex/index.html"} <= set(links)
    assert "No sync has ended yet." in both.page("tenants/globex/completeness.html").text
    assert [entry["tenant"] for entry in json.loads((both.folder / "report.json").read_text())["tenants"]] == [
        "acme",
        "globex",
    ]


def test_a_report_on_an_ai_system_has_its_models_only_and_says_so_on_every_page(
    portfolio_url: str, portfolio: Store, tmp_path: Path
) -> None:
    systems = ["consumer-lending"]
    narrowed = SiteReader(
        write_site(partial(Store, portfolio_url), ["acme"], tmp_path / "lending", REPORT_TIME, systems)
    )
    with portfolio.begin("acme") as session:
        state = tenant_state(session, REPORT_TIME, systems)
        gaps = list(open_gaps(session, REPORT_TIME))
        verdicts = session.execute(
            text(
                "SELECT rule_id, verdict FROM verifywise_mlflow.compliance_verdicts AS v JOIN "
                "verifywise_mlflow.canonical_records AS r USING (tenant_id, model_name, version_number) "
                "WHERE model_name LIKE 'credit-%' AND r.lifecycle_stage <> 'archived'"
            )
        ).all()

    models = {PATHS.model("credit-scoring"), PATHS.model("credit-limit")}
    assert {path for path in narrowed.pages if path.startswith("tenants/acme/models/")} == models
    of_models = [gap for gap in gaps if gap.model_name.startswith("credit-") and gap.waiver is None]
    assert (state.gaps.open, state.gaps.waived) == (len(of_models), 0)
    assert (state.version_count, state.waivers, state.score_history) == (4, [], [])
    rules = state.policies.rules
    assert state.score == score((Severity(rules[rule].severity), {verdict: 1}) for rule, verdict in verdicts)
    for path, page in narrowed.pages.items():
        assert "Only the AI system Consumer lending" in page.text, path
        assert not any(name in page.text for name in ("fraud-detection", "churn", "collections")), path
        assert all(_leads_somewhere(narrowed, path, link) for link in page.links() if not link.startswith("data:,"))
    assert "recorded for all models of a tenant only" in narrowed.page("index.html").text
    assert json.loads((narrowed.folder / "report.json").read_text())["tenants"][0]["only_ai_systems"] == [
        "Consumer lending"
    ]


def test_a_report_replaces_an_earlier_one_and_no_other_folder(portfolio_url: str, tmp_path: Path) -> None:
    destination = tmp_path / "report"
    write_site(partial(Store, portfolio_url), ["globex"], destination, REPORT_TIME)
    (destination / "stale.html").write_text("of an earlier report")
    inode = destination.stat().st_ino

    write_site(partial(Store, portfolio_url), ["globex"], destination, REPORT_TIME)

    assert not (destination / "stale.html").exists()
    assert destination.stat().st_ino != inode
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-the-board.txt").write_text("Dear board")
    with pytest.raises(UnsuitableFolderError, match="name an empty or a new folder"):
        write_site(partial(Store, portfolio_url), ["globex"], tmp_path / "letters", REPORT_TIME)
    assert (tmp_path / "letters" / "to-the-board.txt").exists()


def test_a_report_that_fails_leaves_the_earlier_one(portfolio_url: str, tmp_path: Path) -> None:
    destination = tmp_path / "report"
    write_site(partial(Store, portfolio_url), ["globex"], destination, REPORT_TIME)

    def open_failing_store() -> Store:
        raise DatabaseError("the connection was lost")

    with pytest.raises(DatabaseError):
        write_site(open_failing_store, ["globex"], destination, REPORT_TIME)

    assert (destination / "index.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_gaps_are_counted_by_severity_age_owner_and_rule(portfolio: Store) -> None:
    with portfolio.begin("acme") as session:
        gaps = list(open_gaps(session, REPORT_TIME))
    figures = count_gaps(gaps)
    unwaived = [gap for gap in gaps if gap.waiver is None]

    assert figures.open == len(unwaived)
    assert figures.by_severity == Counter(gap.severity for gap in unwaived)
    assert sum(counts.total() for counts in figures.by_age.values()) == figures.open
    assert sum(rule.open + rule.waived for rule in figures.rules.values()) == len(gaps)
    owners = dict(figures.worst_owners(1))
    assert len(owners) == 2
    assert sum(sum(counts.values()) for counts in owners.values()) == figures.open


def _leads_somewhere(site: SiteReader, path: str, link: str) -> bool:
    parts = urlsplit(link)
    target = path if not parts.path else os.path.normpath(PurePosixPath(path).parent / unquote(parts.path))
    if target in site.pages:
        return not parts.fragment or parts.fragment in site.pages[target].ids
    return (site.folder / target).is_file()
