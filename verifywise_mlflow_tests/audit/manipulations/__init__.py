"""Manipulations of the evidence, and what must notice each: data for a test and for a page.

``evidence`` makes what is manipulated. The manipulations are in ``states.yaml``, which ``state_manipulations`` reads,
and in ``trail_edits``, ``export_edits`` and ``proof_edits``. ``instruments`` looks at the result as an auditor would.
"""
