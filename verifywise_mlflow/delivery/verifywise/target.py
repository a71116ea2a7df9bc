"""VerifyWise as a target of deliveries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from verifywise_mlflow.delivery.target import CheckFinding
from verifywise_mlflow.delivery.verifywise.check import check_findings
from verifywise_mlflow.delivery.verifywise.connection import VerifyWiseConnection
from verifywise_mlflow.delivery.verifywise.desired_state import RuleText
from verifywise_mlflow.delivery.verifywise.remote import VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.rest_client import VerifyWiseClient
from verifywise_mlflow.delivery.verifywise.workload import DeliverySettings, destination
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.delivery.verifywise import VERIFYWISE, VerifyWiseSettings
from verifywise_mlflow.tenants.tenant import Tenant

DELIVERY_REVISION: Final = 1
"""Increase it if a release of this package writes other fields or texts, so that all versions are delivered again."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class VerifyWiseTarget:
    """The VerifyWise server of a tenant."""

    name: TargetName = VERIFYWISE
    delivers_existing = True
    batch_size = 50

    def __init__(
        self,
        tenant: Tenant,
        settings: VerifyWiseSettings,
        store: Store,
        *,
        now: Callable[[], datetime] = _utc_now,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare the target; no request is sent and no secret is resolved yet.

        Args:
            tenant: The tenant.
            settings: The server, and what is delivered to it.
            store: Our database.
            now: The time for the ledger and the outbox.
            clock: Returns the seconds of a monotonic clock, for rate limits and sessions.
            sleep: Waits for a rate limit.
        """
        self._tenant, self._settings, self._store, self._now = tenant, settings, store, now
        self._clock, self._sleep = clock, sleep

    @property
    def address(self) -> str:
        """The server's URL."""
        return self._settings.url

    @property
    def settings_digest(self) -> str:
        """A digest of the server and of what is delivered to it."""
        settings = self._settings
        return fingerprint(
            [
                DELIVERY_REVISION,
                settings.url,
                settings.versions,
                settings.risks,
                settings.evidence,
                settings.restrict_failing,
                settings.metrics_token is not None,
            ]
        )

    @property
    def confirm_above(self) -> int:
        """The setting ``confirm_above``: how many new entries a first delivery may have without a confirmation."""
        return self._settings.confirm_above

    def check(self) -> Sequence[CheckFinding]:
        """Check what works in VerifyWise; nothing is written."""
        return list(check_findings(self._settings, self._open))

    @contextmanager
    def connect(self) -> Iterator[VerifyWiseConnection]:
        """Log in, probe the release, and close the connections at the end."""
        rules = {rule.id: RuleText(rule.title, rule.remedy, rule.severity) for rule in load_rules(self._tenant).rules}
        client = self._open()
        try:
            remote = RemoteState(client)
            settings = DeliverySettings(
                self._tenant,
                self._settings,
                rules,
                destination(self._settings.url, client.account().organization),
                has_intended_use=remote.release.has_external_key,
            )
            yield VerifyWiseConnection(remote, self._store, settings, self._now)
        finally:
            client.close()

    def _open(self) -> VerifyWise:
        redact = EntityRedactor(self._tenant.redaction).message
        return VerifyWiseClient(
            self._settings, limits=self._tenant.limits, redact=redact, clock=self._clock, sleep=self._sleep
        )
