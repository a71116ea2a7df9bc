"""Artifact stores that are read directly, without the tracking server: object stores, local folders, MLflow proxies.

``resolver.py`` is the entry point. All network traffic goes through ``http/client.py``.
"""
