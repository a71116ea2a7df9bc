"""The links from a version to a run, a logged model and files that the version itself does not name.

Each link is a sentence. It is stored with the origin of each value, so that an auditor can follow the link. An
uncertain link is a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from verifywise_mlflow.artifacts.version_origin import VersionKey
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

MODEL_VERSIONS_TAG: Final = "mlflow.modelVersions"
"""The tag in which MLflow lists the versions that were registered from a logged model. The server writes the tag if the
client names the logged model at registration."""

_VERSION_NUMBER = re.compile(r"[0-9]{1,10}")


@value_object
class OriginLinks:
    """The link of each kind of object to the version; None if the version itself names the object."""

    run: str | None
    experiment: str | None
    logged_model: str | None
    files: str | None

    @classmethod
    def of(cls, inputs: RecordInputs) -> OriginLinks:
        """Return the links of a version's objects."""
        chain = _chain(inputs)
        logged_model = "; ".join(filter(None, (chain, _location_link(inputs)))) or None
        run = None if inputs.version.run_id else _run_link(inputs, chain, logged_model)
        has_run_experiment = inputs.run is not None and inputs.run.experiment_id is not None
        return cls(run, run if has_run_experiment else logged_model, logged_model, chain)

    @property
    def has_any(self) -> bool:
        """Whether a run, an experiment, a logged model or files belong to a version that does not name them."""
        return (self.run or self.experiment or self.logged_model or self.files) is not None

    def add_to(self, origin: Origin) -> Origin:
        """Return an origin, with the link of the object from which the value comes."""
        match origin.source:
            case "run" | "run tag":
                link = self.run
            case "version" if origin.key == "run_id":
                link = self.run
            case "experiment":
                link = self.experiment
            case "logged model":
                link = self.logged_model
            case "artifact":
                link = self.files
            case _:
                link = None
        return replace(origin, link=link) if link else origin


def origin_findings(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield the findings about the objects from which the version was registered."""
    if inputs.origin and inputs.origin.problem:
        sentence = f"the version is a copy whose original is unknown: {inputs.origin.problem}"
        yield Finding("uncertain origin", None, sentence)
    if inputs.logged_model_link == "ambiguous":
        sentence = "the version's source is the artifact location of several logged models, so it has none of them"
        yield Finding("uncertain origin", None, sentence)
    if _names_other_versions_only(inputs) and inputs.logged_model:
        sentence = (
            f"the version's source is the artifact location of logged model {inputs.logged_model.model_id}, but "
            f"the logged model's tag {MODEL_VERSIONS_TAG} does not name the version"
        )
        yield Finding("uncertain origin", None, sentence)


def _names_other_versions_only(inputs: RecordInputs) -> bool:
    """Whether a logged model linked by location has a tag that names neither the version nor its originals.

    MLflow does not change the tag when a model is renamed. If the version is a copy of an unknown original, the tag is
    not expected to name it.
    """
    if inputs.logged_model_link != "location" or inputs.logged_model is None:
        return False
    if inputs.origin and inputs.origin.problem:
        return False
    named = _registered_versions(inputs.logged_model.tags.get(MODEL_VERSIONS_TAG))
    names = (inputs.version.model_name, *inputs.other_names)
    own = {(name, inputs.version.version_number) for name in names}
    return named is not None and named.isdisjoint({*own, *(inputs.origin.copied_from if inputs.origin else ())})


def _chain(inputs: RecordInputs) -> str | None:
    copied_from = inputs.origin.copied_from if inputs.origin else ()
    if inputs.origin and inputs.origin.location:
        return "MLflow resolved the source of the copy when it was registered"
    return ", ".join(f"copied from {quote(name)} version {number}" for name, number in copied_from) or None


def _location_link(inputs: RecordInputs) -> str | None:
    if inputs.logged_model_link != "location" or inputs.logged_model is None:
        return None
    return f"the source is the artifact location of logged model {inputs.logged_model.model_id}"


def _run_link(inputs: RecordInputs, chain: str | None, logged_model: str | None) -> str | None:
    if inputs.origin is None or inputs.origin.run_id is None:
        return logged_model
    return chain or "the source names the run"


def _registered_versions(tag: str | None) -> set[VersionKey] | None:
    """Return the versions in MLflow's tag; None without the tag. MLflow writes version numbers as numbers or texts."""
    if tag is None:
        return None
    try:
        entries = json.loads(tag)
    except (ValueError, RecursionError):  # a client may have written the tag
        return set()
    versions: set[VersionKey] = set()
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            number = str(entry.get("version"))
            if _VERSION_NUMBER.fullmatch(number):
                versions.add((entry["name"], int(number)))
    return versions
