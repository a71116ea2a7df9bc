"""A contract server, which replaces VerifyWise. Its behavior was measured on the three dialects that customers run.

All of its code is ours. It defines the behavior that the delivery relies on, including odd behavior: a validation error
is a 500, a missing model is a 204, and an evidence's files may be dropped silently. The demo and tests deliver to it.
Tests can also make it slow, make it lose a request or a response, and restart it.

``server.py`` starts it. ``routes.py`` is the table of its endpoints.
"""
