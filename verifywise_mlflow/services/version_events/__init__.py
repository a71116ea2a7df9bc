"""Changes of a version as events for webhooks: its lifecycle, badge, gaps and files. Pure functions.

The pipeline makes the events in the transaction of the change; ``delivery/cloud_events`` sends them.
"""
