"""Verifies that the tables hold exactly the states that were logged, and that the log is what the trail commits.

``verification.verify_records`` is the entry point. It walks the versions in the order of their keys: ``version_check``
compares the states of each in the log with those in the tables, ``field_search`` finds out which field was changed,
``judging`` derives the verdicts from their inputs again. ``report`` is what comes out.
"""
