"""Dagster's freshness policy for the stages.

A policy applies to a whole asset: one busy tenant keeps it passing even if no other tenant is synced. So the policy
detects that syncing as a whole has stopped, and the check ``fresh`` detects which tenants are stale
(``tenants/freshness.py``). That check reads the store, in which a targeted sync does not count as a completion of the
stages that read MLflow.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

FRESHNESS_POLICY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))
"""The schedules request a sync of every tenant each hour: two missed syncs deserve a warning, six are an outage."""
