"""What changes about a version, as events for webhooks: its life, its badge, its gaps and its files. Pure.

The pipeline makes the events in the transaction of the change; ``delivery/cloud_events`` sends them.
"""
