"""Documents for people: the evidence pack and the report.

``blocks`` is what a document consists of. ``version`` says in plain words what is known of a version; ``html`` and
``pdf`` render blocks. A document is built from what ``services`` return and reads nothing itself.
"""
