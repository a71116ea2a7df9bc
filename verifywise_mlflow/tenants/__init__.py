"""Tenants as ``tenants.yaml`` describes them: servers, credentials by reference, limits, mapping, policies."""
