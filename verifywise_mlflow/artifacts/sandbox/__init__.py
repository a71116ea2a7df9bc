"""Untrusted bytes are hashed and parsed in processes that can do nothing else. ``sandbox.py`` is the way in.

What runs inside starts with this package, so it imports nothing.
"""
