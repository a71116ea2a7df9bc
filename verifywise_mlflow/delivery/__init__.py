"""Delivers verdicts to other systems, from an outbox that is written in the transaction that commits them.

``target.py`` is the interface of these systems; ``drain.py`` delivers the pending versions to one of them.
``report_bucket.py`` uploads reports, which need no outbox.
"""
