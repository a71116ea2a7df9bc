"""Delivers verdicts to other systems, from an outbox that is written in the transaction that commits them.

``target.py`` is the interface behind which the systems stand; ``drain.py`` takes what is pending to one of them.
"""
