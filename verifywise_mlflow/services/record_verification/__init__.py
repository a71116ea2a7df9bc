"""Verifies that the tables hold exactly the states that were logged, and that the log is what the trail commits.

Only former manifests are not compared, since no table keeps them.

``verification.verify_records`` is the entry point. ``version_check`` compares the states of versions in the log with
those in the tables, with ``matching`` and ``evaluations``; ``tenant_check`` does so with waivers and configurations,
and ``registry_asset_states`` with prompts and agents. ``field_search``, with values from ``witnesses``, and
``evaluation_search`` try to find out which field was changed; ``judging`` derives verdicts from their inputs again.
"""
