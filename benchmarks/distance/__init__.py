"""Measures reading from a distant server, compared with plain loops over the same server at the same distance.

``metadata``: a registry's first sync and a sync without changes, as processes, against a bare loop over the bulk
endpoints. ``files``: the stage that reads and hashes files, against eight plain keep-alive connections, for many small
files and a few large ones, through MLflow and from S3, Cloud Storage and Azure. ``load``: the effect of each reader on
a server that spends 0.3 s of CPU on the password of each request.

The two sides of a ratio are measured in turn, in one run, behind the same proxy. If other processes took more than a
fifth of a core meanwhile, the pair is measured again, at most three times.
"""
