"""Traces and structured logs of syncs: who is being synced, spans by stage and request, JSON lines."""
