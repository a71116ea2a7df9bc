"""Seed one tenant's registry: ``python -m verifywise_mlflow.demo.registries TENANT TRACKING_URI``.

Each step prints a line, ``TENANT<tab>step``, from which the demo reads the progress.
"""

from __future__ import annotations

import gc
import sys

from verifywise_mlflow.demo.registries import acme_bank, bank_names, globex_health
from verifywise_mlflow.demo.registries.registry import Registry

_SEED = {bank_names.TENANT: acme_bank.seed, globex_health.TENANT: globex_health.seed}


def main(tenant: str, tracking_uri: str) -> None:
    """Create the tenant's workspace and seed it."""

    def report_progress(step: str) -> None:
        sys.stdout.write(f"{tenant}\t{step}\n")
        sys.stdout.flush()

    _SEED[tenant](Registry(tracking_uri, workspace=tenant, report_progress=report_progress))


if __name__ == "__main__":
    gc.freeze()  # the imported objects stay: visiting them in each collection takes a second
    main(*sys.argv[1:])
