"""Fills one tenant's registry: ``python -m verifywise_mlflow.demo.registries TENANT TRACKING_URI``.

Each step is a line of standard output, ``TENANT<tab>what was done``, for whoever shows the progress.
"""

from __future__ import annotations

import sys

from verifywise_mlflow.demo.registries import acme_bank, globex_health
from verifywise_mlflow.demo.registries.registry import Registry

_FILL = {acme_bank.TENANT: acme_bank.fill, globex_health.TENANT: globex_health.fill}


def main(tenant: str, tracking_uri: str) -> None:
    """Create the tenant's workspace and fill it."""

    def tell(done: str) -> None:
        sys.stdout.write(f"{tenant}\t{done}\n")
        sys.stdout.flush()

    _FILL[tenant](Registry(tracking_uri, workspace=tenant, tell=tell))


if __name__ == "__main__":
    main(*sys.argv[1:])
