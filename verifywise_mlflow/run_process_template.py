"""What every run needs, imported and loaded once by the process that the runs of a code server are forked from."""

from contextlib import suppress

with suppress(Exception):  # the run fails in the same way, and reports it
    import verifywise_mlflow.definitions  # noqa: F401
    from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
    from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
    from verifywise_mlflow.redaction.token_scanner import load_scanner

    mapping_index(default_mapping())
    load_scanner()
