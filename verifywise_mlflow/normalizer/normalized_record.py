"""The result of normalization: a canonical record, its provenance, and what is missing or looks wrong."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import UnreadObject


@value_object
class NormalizedRecord:
    """A canonical record with its provenance, its read gaps and its findings."""

    record: CanonicalRecord
    origins: Mapping[str, Origin]
    """Field to origin, for every field that is not null and for every field whose text is not a value.
    ``evaluation_tags`` is collected from several tags: the origin of each tag is under ``evaluation_tags.KEY``."""
    incomplete: tuple[UnreadObject, ...]
    """The objects that could not be read; empty if the record holds everything that MLflow shows."""
    findings: tuple[Finding, ...]
    """Facts that look wrong, such as an unknown value, a dangling alias or a deleted run."""
    prompt_names: tuple[str, ...] = ()
    """The names of prompts in the registry that ``prompt_reference`` may mean."""
