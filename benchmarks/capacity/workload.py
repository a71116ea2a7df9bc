"""The workload and the resources of an installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from verifywise_mlflow.connector.registry_search import MODELS_PAGE_SIZE, VERSIONS_PAGE_SIZE
from verifywise_mlflow.tenants.intervals import Intervals

DEFAULT_INTERVALS = Intervals()

SECONDS_PER_DAY = 86_400.0
BACKFILL_SHARE = 0.75
"""The share of the slots that backfills may use, as with the default settings."""
_RUNS_PAGE_SIZE = 200
_RUNS_READ_IN_ANY_SYNC = 200
"""If all runs of a registry fit into one request, each sync reads all of them."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The tenants, and what happens in their registries."""

    tenants: int
    versions: int = 200
    """The number of versions per tenant, each with its own run. There are a tenth as many models."""
    changes: float = 2.0
    """The number of changes per tenant and day that a poll detects. Half are new versions, half are tags or aliases."""
    tenants_per_server: int = 20
    round_trip: float = 0.03
    """Seconds between the installation and an MLflow server."""
    poll: timedelta = DEFAULT_INTERVALS.poll
    listing: timedelta = DEFAULT_INTERVALS.listing
    reconcile: timedelta = DEFAULT_INTERVALS.reconcile

    @property
    def servers(self) -> int:
        """The number of MLflow servers."""
        return ceil(self.tenants / self.tenants_per_server)

    @property
    def models(self) -> int:
        """The number of models per tenant."""
        return ceil(self.versions / 10)

    @property
    def listing_requests(self) -> int:
        """The number of requests of a listing poll: the pages of both searches, and the search for prompts."""
        return _pages(self.models, MODELS_PAGE_SIZE) + _pages(self.versions, VERSIONS_PAGE_SIZE) + 1

    @property
    def sync_requests(self) -> int:
        """The number of requests of a sync that reads no runs: server-info, version and the listings."""
        return 2 + self.listing_requests

    @property
    def run_requests(self) -> int:
        """The number of additional requests of a sync that reads all runs: experiments and the pages of runs."""
        return 1 + ceil(self.versions / _RUNS_PAGE_SIZE) if self.versions else 0

    @property
    def reads_runs_always(self) -> bool:
        """Whether each sync reads all runs, because they fit into one request."""
        return 0 < self.versions <= _RUNS_READ_IN_ANY_SYNC


def _pages(rows: int, page_size: int) -> int:
    return max(ceil(rows / page_size), 1)


@dataclass(frozen=True, slots=True)
class Installation:
    """The settings of one installation that decide how much it can do."""

    workers: int = 8
    """The number of concurrent syncs (VERIFYWISE_MAX_CONCURRENT_SYNCS). There are as many worker processes."""
    code_servers: int = 1
    """The number of code servers behind one address. The default launcher allows only one."""
    syncs_per_server: int = 2
    """VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER."""
    unchanged_run_days: int = 7
    """VERIFYWISE_UNCHANGED_RUN_RETENTION_DAYS."""
    run_days: int = 90
    """VERIFYWISE_RUN_RETENTION_DAYS."""

    def environment(self) -> Mapping[str, str]:
        """Return the variables that configure it."""
        return {
            "VERIFYWISE_MAX_CONCURRENT_SYNCS": str(self.workers),
            "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": str(max(int(BACKFILL_SHARE * self.workers), 1)),
            "VERIFYWISE_MAX_CONCURRENT_SLOW_SYNCS": str(max(self.workers // 2, 1)),
            "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER": str(self.syncs_per_server),
        }
