"""Witnesses: systems that the database's owner cannot change and that receive signed checkpoints of the audit trail.

An owner who also has the signing key could rewrite the trail and sign it again. A checkpoint that a witness has cannot
be taken back. ``sending.py`` sends the due checkpoints; a sync neither waits for a witness nor fails because of one.
"""
