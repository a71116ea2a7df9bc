"""Webhooks: sends the events of versions as CloudEvents 1.0 in structured mode, signed as Standard Webhooks.

``services/version_events`` makes the events; the table ``delivery_events`` holds them until they are delivered.
"""
