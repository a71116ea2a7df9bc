"""A capacity model of an installation, checked by a simulation: ``python -m benchmarks.capacity``.

``model`` computes what an installation needs for a workload, and which resource is the bottleneck. ``simulation`` runs
the same workload on a fake clock through the rules of the product itself. Both use ``service_times``, which ``python -m
benchmarks.capacity.measure`` measures again.
"""
