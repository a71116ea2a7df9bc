"""Documents for people: the evidence pack and the report.

A document consists of ``blocks``. ``version`` builds the blocks about a version in plain words; ``html`` and ``pdf``
render blocks. A document is built from the results of ``services`` and reads nothing itself.
"""
