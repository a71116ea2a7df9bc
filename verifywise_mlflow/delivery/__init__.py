"""Delivers verdicts to other systems from an outbox. The transaction that commits verdicts also writes the outbox.

``target.py`` is the interface of these systems. ``drain.py`` delivers the pending versions to one system.
``report_bucket.py`` uploads reports, which need no outbox.
"""
