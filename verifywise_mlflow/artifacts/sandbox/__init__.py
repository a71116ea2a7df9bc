"""Sandbox: untrusted files are parsed, and signatures verified, in worker processes that can do nothing else.

``client.py`` is the entry point. Workers import this package first, so it imports nothing itself.
"""
