"""When Dagster itself warns. Its policies hold for a whole asset, so each tenant has the check ``fresh`` beside them.

One busy tenant keeps an asset's policy green while all others were never synced: the policy tells that syncing as a
whole stands still, the check tells of whom. When a tenant is late: ``tenants/freshness.py``.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

POLICY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))
"""Schedules look at every tenant each hour: two missed ones are worth a look, six are an outage."""
