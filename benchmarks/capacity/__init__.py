"""A capacity model of an installation, checked by a simulation: ``python -m benchmarks.capacity``.

``model`` computes from a workload what an installation needs, and which resource is its bottleneck. ``simulation`` runs
the same workload on a fake clock through the rules of the product itself. Both use ``service_times``, which
``python -m benchmarks.capacity.measure`` measures again.
"""
