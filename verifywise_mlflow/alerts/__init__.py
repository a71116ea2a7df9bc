"""Alerts: report a problem once when it starts and once when it is resolved, to the log, webhooks and e-mail."""
