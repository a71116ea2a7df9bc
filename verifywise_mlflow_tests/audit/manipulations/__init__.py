"""Manipulations of the evidence, and the checks that must detect each: data for a test and for a page.

``evidence`` makes the evidence to manipulate. The manipulations are in ``states.yaml``, which ``state_manipulations``
reads, and in ``trail_edits``, ``export_edits`` and ``proof_edits``. ``instruments`` looks at the result as an auditor
would.
"""
