"""The section ``delivery`` of a tenant: the systems that its verdicts are delivered to, one module per kind."""
