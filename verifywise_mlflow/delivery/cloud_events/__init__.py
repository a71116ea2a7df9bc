"""Webhooks: sends the events of versions as CloudEvents 1.0 in structured mode, signed as Standard Webhooks.

``services/version_events`` creates the events. The table ``delivery_events`` stores them until they are delivered.
"""
