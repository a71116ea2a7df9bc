"""Witnesses: places out of reach of the database's owner that get signed checkpoints of the audit trail.

An owner who has the signing key, too, could rewrite the trail and sign it again. What a witness has cannot be taken
back. ``sending.py`` sends what is due; a sync neither waits for a witness nor fails because of one.
"""
