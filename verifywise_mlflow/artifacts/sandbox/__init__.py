"""Sandbox: untrusted bytes are hashed and parsed in worker processes that can do nothing else.

``client.py`` is the entry point. Workers import this package first, so it imports nothing itself.
"""
