"""Files that are read where they lie, past the tracking server: object stores, a mounted disk, another MLflow's proxy.

``stores.py`` is the way in. Everything that goes over a network goes through the connector's own connections.
"""
