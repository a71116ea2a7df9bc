"""Sandbox: worker processes that parse untrusted files and verify signatures, and that can do nothing else.

``client.py`` is the entry point. Workers import this package first, so it imports nothing itself.
"""
