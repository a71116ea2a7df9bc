"""Lineage as OpenLineage events: data sets, training runs, model versions, and the results of evaluations.

The library comes with the extra ``openlineage``. Only ``target.py`` may be imported without it.
"""
