"""A contract server: VerifyWise's REST API as it was measured, in the three dialects that customers run.

It is ours from the first line to the last and states what the delivery relies on, odd behavior included: a validation
error is a 500, a missing model a 204, an evidence's files may be dropped in silence. The demo delivers to it, and so do
tests, which can also make it slow, lose a request or its response, and restart it.

``server.py`` starts it. ``routes.py`` is the table of its endpoints.
"""
