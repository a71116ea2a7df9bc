"""Documents in the order of a framework's clauses, filled from evidence: Annex IV of the EU AI Act, ISO/IEC 42001, …

An outline (``outlines/``) states the order, the titles, the place of each piece of evidence, and what a person has to
write. If a framework has no outline, one is derived from its catalog of clauses. Nothing that MLflow shows or that
somebody declares replaces what a person has to write.
"""
