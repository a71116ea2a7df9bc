"""``deliver check`` for VerifyWise: the release, the account's rights, and working features. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from verifywise_mlflow.delivery.target import CheckFinding
from verifywise_mlflow.delivery.verifywise.custom_fields import OWN_FIELDS
from verifywise_mlflow.delivery.verifywise.remote import Account, Dialect, Release, VerifyWise
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.tenants.delivery.verifywise import VerifyWiseSettings
from verifywise_mlflow.tenants.errors import SecretUnavailableError

_RELEASES: Final[dict[Dialect, str]] = {
    "A1": "a release like 2.1.1, with a schema per organization",
    "A2": "a release of spring 2026, with a shared schema",
    "B": "a release with custom fields and external keys",
}
_WRITERS: Final = ("Admin", "Editor")


def check_findings(settings: VerifyWiseSettings, open_client: Callable[[], VerifyWise]) -> Iterator[CheckFinding]:
    """Yield the findings, up to the first error that prevents further checks."""
    try:
        client = open_client()
    except (HttpError, SecretUnavailableError) as error:
        yield CheckFinding("connection", False, str(error))
        return
    try:
        account = client.account()
        yield _account_finding(settings, account)
        release = client.release()
        yield CheckFinding("release", True, f"{_RELEASES[release.dialect]} (dialect {release.dialect})")
        yield from _feature_findings(settings, account, release, client)
    except (HttpError, SecretUnavailableError) as error:
        yield CheckFinding("connection", False, str(error))
    finally:
        client.close()


def _account_finding(settings: VerifyWiseSettings, account: Account) -> CheckFinding:
    who = f"{account.email or f'user {account.user_id}'}, {account.role} of organization {account.organization}"
    if account.role not in _WRITERS:
        return CheckFinding("account", False, f"{who}: it may not write. Give it the role Editor")
    if settings.auth.kind == "token":
        return CheckFinding(
            "account",
            True,
            f"{who}, by a token. A token has all rights of the Admin who made it, and earlier releases accept it even "
            "after it was deleted: prefer a user of its own with the role Editor, and auth of kind login",
        )
    if account.role == "Admin":
        return CheckFinding("account", True, f"{who}. The role Editor is enough, except to define custom fields")
    return CheckFinding("account", True, who)


def _feature_findings(
    settings: VerifyWiseSettings, account: Account, release: Release, client: VerifyWise
) -> Iterator[CheckFinding]:
    yield CheckFinding("inventory", True, f"{len(client.inventory()):,} entries can be read")
    yield CheckFinding("risks", True, f"{len(client.risks()):,} risks can be read, deleted ones included")
    if settings.evidence != "none":
        note = "" if release.links_files_on_create else "; whether it keeps their links is read back at each delivery"
        yield CheckFinding("evidence", True, f"{len(client.evidence()):,} entries can be read{note}")
    if release.has_custom_fields:
        known = {definition.field_key for definition in client.custom_field_definitions()}
        missing = [field.key for field in OWN_FIELDS if field.key not in known]
        if missing and account.role != "Admin":
            yield CheckFinding(
                "custom fields",
                False,
                f"{', '.join(missing)} are missing, and the role {account.role} may not define them: let an Admin "
                "define them once, or run one delivery as an Admin. All else works without them",
            )
        else:
            yield CheckFinding("custom fields", True, "all exist" if not missing else "the delivery defines them")
    else:
        yield CheckFinding("custom fields", True, "the release has none: open risks and evidence show the verdicts")
    if settings.metrics_token is not None:
        sentence = "they are sent" if release.has_model_metrics else "the release takes none: remove metrics_token"
        yield CheckFinding("metrics", release.has_model_metrics, sentence)
