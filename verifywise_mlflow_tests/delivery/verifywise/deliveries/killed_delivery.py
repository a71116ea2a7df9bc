"""Delivers, and is killed after the response to a POST and before the ledger has the row of this POST.

``python -m … entry|risk|file URL FOLDER`` delivers what the tenant of ``delivering_tenant`` has pending.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.delivery.verifywise.target import VerifyWiseTarget
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import delivery_ledger
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import delivering_tenant
from verifywise_mlflow_tests.support.verifywise_api import EDITOR


def main(kill_at: str, url: str, folder: Path) -> None:
    """Deliver until the first row of an item would be confirmed."""
    confirm = delivery_ledger.confirm

    def confirm_or_die(session: object, subject: object, item: str, *arguments: object, **named: object) -> None:
        if item.startswith(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)
        confirm(session, subject, item, *arguments, **named)  # type: ignore[arg-type]  # passed on

    delivery_ledger.confirm = confirm_or_die
    tenant = delivering_tenant(folder, url, EDITOR)
    settings = tenant.delivery.verifywise
    assert settings is not None
    with Store(database_url()) as store:
        Drain(store, tenant.tenant_id, VerifyWiseTarget(tenant, settings, store)).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
