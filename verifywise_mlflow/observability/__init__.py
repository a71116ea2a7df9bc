"""Traces and structured logs of syncs: the tenant that is being synced, spans by stage and request, JSON lines."""
