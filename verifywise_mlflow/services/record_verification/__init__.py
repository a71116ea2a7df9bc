"""Verifies that the tables have exactly the logged states, and that the log is as the trail commits it.

Only former manifests are not compared, since no table stores them.

``verification.verify_records`` is the entry point. Three modules compare the states in the log with the states in the
tables: ``version_check`` for versions (it uses ``matching`` and ``evaluations``), ``tenant_check`` for waivers and
configurations, and ``registry_asset_states`` for prompts and agents. ``field_search`` and ``evaluation_search`` try to
find out which field was changed. ``witnesses`` supplies values to ``field_search``. ``judging`` derives verdicts from
their inputs again.
"""
