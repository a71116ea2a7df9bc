"""Builds the artifact manifest of one model version: list the roots, hash within limits, read the environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.file_classifier import FilePattern
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.location import ModelLocation, NoFiles, UnreachableFiles
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ManifestGap,
    ManifestStatus,
    ModelSignature,
    Root,
)
from verifywise_mlflow.artifacts.manifest_entries import EntryBuilder, ListedRoot
from verifywise_mlflow.artifacts.map_in_order import MapInOrder, one_by_one
from verifywise_mlflow.artifacts.model_signing.spec import is_bundle_name
from verifywise_mlflow.artifacts.sandbox.pool import AnySandbox
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureRequest
from verifywise_mlflow.artifacts.source import ArtifactReadError, ArtifactSource
from verifywise_mlflow.artifacts.tree_walk import FileListing, ProblemKind, rejection_reason, walk
from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.connector.models import RemoteFile

MAX_SIGNATURE_BUNDLES = 20
"""The maximum number of signature bundles that are verified for one version."""
MAX_SIGNATURE_BUNDLE_BYTES = 16 * 1024**2


def build_manifest(
    location: ModelLocation,
    model_files: ArtifactSource | None,
    run_files: ArtifactSource | None,
    *,
    model_path: str,
    limits: ManifestLimits,
    hash_files: bool,
    sandbox: AnySandbox,
    patterns: Sequence[FilePattern] = (),
    trusted: TrustedSigners | None = None,
    map_in_order: MapInOrder = one_by_one,
) -> ArtifactManifest:
    """Read every file of a version. Read failures become part of the manifest and are never raised.

    Args:
        location: Where the model's files are, from ``locate_files``.
        model_files: The root that contains the model's folder. It is not used if ``location`` is unreachable.
        run_files: The artifacts of the version's run. If the model is in that same run, pass the same object as for
            ``model_files``: then the model's folder is excluded from the run's files. A ``CachingSource`` is read once
            for all its versions.
        model_path: The model's folder within ``model_files``: ``RunFiles.path``, empty for a logged model.
        limits: Limits on listing and hashing.
        hash_files: If false, only environment files are read.
        sandbox: Parses environment files and verifies signatures.
        patterns: The tenant's file patterns, which take precedence over the defaults.
        trusted: Signers whose model signatures are trusted; if None, no signer is trusted.
        map_in_order: Reads directories and files, possibly several at the same time.
    """
    uri = None if isinstance(location, NoFiles) else location.uri
    reasons: list[str] = []
    entry_builder = EntryBuilder(limits, hash_files, sandbox, patterns, map_in_order)

    listings: list[Callable[[], ListedRoot]] = []
    if isinstance(location, NoFiles | UnreachableFiles):
        reasons.append(location.reason)
    elif model_files is None:
        reasons.append(f"no source is configured to read {location.uri}")
    else:
        source = CachingSource.wrap(model_files)
        listings.append(partial(_list_model_root, source, model_path, limits, map_in_order))
    if run_files is not None:
        excluded = {model_path} if run_files is model_files and listings else set()
        if "" not in excluded:  # else the model is the whole run
            listings.append(partial(_list_run_root, CachingSource.wrap(run_files), limits, excluded, map_in_order))
    # Both roots are listed together, since each step waits for a distant server.
    roots = list(map_in_order(lambda list_root: list_root(), listings))
    if any(root.root == "model" and root.listing.is_empty for root in roots):
        reasons.append(f"the server lists no files at {uri}")

    hashed = entry_builder.read_listed(roots)
    # Parsing comes last: the process that parses starts while the first versions' files are read.
    has_model_files = any(root.root == "model" and root.listing.files for root in roots)
    environment = entry_builder.parse_environment() if has_model_files else None
    files = [entry_builder.entry(*item) for item in hashed]
    for root in roots:
        reasons += [f"{root.root}: {problem}" for problem in root.listing.problems]
    reasons += entry_builder.summarize_unread()
    status = _status(location, roots, files, reasons)
    ordered = tuple(sorted(files, key=lambda file: (file.root, file.path)))
    return ArtifactManifest(
        location=uri,
        status=status,
        reason="; ".join(reasons) or None,
        files=ordered,
        environment=environment,
        digest=manifest_digest(ordered) if status == "complete" else None,
        not_listed=_not_listed(roots),
        gap=ManifestGap.NONE if status == "complete" else _gap(location, roots, entry_builder),
        signatures=_verify_signatures(
            roots, ordered, model_path, sandbox, trusted or TrustedSigners(), hash_files=hash_files
        ),
    )


def _not_listed(roots: Sequence[ListedRoot]) -> tuple[Root, ...]:
    listed = {root.root for root in roots if root.listing.is_complete}
    return tuple(root for root in get_args(Root) if root not in listed)


def _gap(location: ModelLocation, roots: Sequence[ListedRoot], entry_builder: EntryBuilder) -> ManifestGap:
    model = next((root for root in roots if root.root == "model"), None)
    if isinstance(location, NoFiles | UnreachableFiles) or model is None or entry_builder.has_failure:
        return ManifestGap.FAILED
    if any(ProblemKind.FAILED in root.listing.problem_kinds for root in roots):
        return ManifestGap.FAILED
    return ManifestGap.NO_FILES if model.listing.is_empty else ManifestGap.LIMIT


@dataclass(frozen=True, slots=True)
class TrustedSigners:
    """The signers that a tenant trusts, as PEM, and the time at which certificates are checked."""

    public_keys: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    now: float = 0.0
    """Unix time in seconds."""


def _verify_signatures(
    roots: Sequence[ListedRoot],
    files: Sequence[ArtifactFile],
    model_path: str,
    sandbox: AnySandbox,
    trusted: TrustedSigners,
    *,
    hash_files: bool,
) -> tuple[ModelSignature, ...]:
    """Verify the signature bundles at the top of the model's folder and next to that folder in its run."""
    model = next((root for root in roots if root.root == "model"), None)
    if model is None:
        return ()
    hashes = {file.path: file.sha256 for file in files if file.root == "model"}
    inside = [(path, model.source, f"{model.base_path}/{path}" if model.base_path else path) for path in hashes]
    parent = model_path.rpartition("/")[0]
    siblings = [
        (f"../{file.path.rpartition('/')[2]}", root.source, file.path)
        for root in roots
        if root.root == "run" and model_path
        for file in root.listing.files
        if file.path.rpartition("/")[0] == parent
    ]
    bundles = [bundle for bundle in (*inside, *siblings) if is_bundle_name(bundle[0].removeprefix("../"))]
    checked: list[ModelSignature] = []
    for path, source, source_path in sorted(bundles, key=lambda bundle: bundle[0]):
        if len(checked) >= MAX_SIGNATURE_BUNDLES or not hash_files:
            reason = f"the model has more than {MAX_SIGNATURE_BUNDLES} signatures" if hash_files else "hashing is off"
            checked.append(ModelSignature(path, "not verified", reason, None, None))
            continue
        if model.listing.problems:
            # A missing file is indistinguishable from a file that was not listed.
            reason = "not every file of the model could be listed"
            checked.append(ModelSignature(path, "not verified", reason, None, None))
            continue
        try:
            content = source.read_whole(source_path, MAX_SIGNATURE_BUNDLE_BYTES)
        except ArtifactReadError as error:
            checked.append(ModelSignature(path, "not verified", f"the bundle could not be read: {error}", None, None))
            continue
        request = SignatureRequest(path, hashes, trusted.public_keys, trusted.authorities, trusted.now)
        checked.append(sandbox.verify_signature(content, request))
    return tuple(checked)


def manifest_digest(files: Iterable[ArtifactFile]) -> str | None:
    """Return the SHA-256 over a JSON line ``[root, path, size, sha256]`` per file, sorted; None if any lacks a hash."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: (file.root, file.path)):
        if file.sha256 is None:
            return None
        entry = [file.root, file.path, file.size, file.sha256]
        digest.update(canonical_json(entry).encode("ascii") + b"\n")
    return digest.hexdigest()


def _list_model_root(
    source: CachingSource, model_path: str, limits: ManifestLimits, map_in_order: MapInOrder
) -> ListedRoot:
    listing = walk(source, model_path, limits, (), map_in_order)
    if listing.is_empty and (file := single_file(source, model_path)):
        return ListedRoot("model", source, model_path.rpartition("/")[0], FileListing((file,), ()))
    return ListedRoot("model", source, model_path, listing)


def _list_run_root(
    source: CachingSource, limits: ManifestLimits, excluded: Collection[str], map_in_order: MapInOrder
) -> ListedRoot:
    return ListedRoot("run", source, "", walk(source, "", limits, excluded, map_in_order))


def single_file(source: ArtifactSource, path: str) -> RemoteFile | None:
    """Return the entry of ``path`` if it is a file; None if it is a folder, is missing, or cannot be looked up.

    People register single files (``runs:/RUN/model.pkl``). MLflow lists a file like an empty folder, so only a listing
    of the parent folder shows that it is a file.
    """
    parent = path.rpartition("/")[0]
    try:
        entries = source.list_directory(parent) if path else ()
    except ArtifactReadError:
        return None
    entry = next((entry for entry in entries if entry.path == path and not entry.is_directory), None)
    return None if entry is None or rejection_reason(entry, parent) else entry


def _status(
    location: ModelLocation, roots: list[ListedRoot], files: list[ArtifactFile], reasons: list[str]
) -> ManifestStatus:
    if not reasons:
        return "complete"
    if files or any(root.root == "model" and root.listing.is_root_listed for root in roots):
        return "partial"
    return "none" if isinstance(location, NoFiles) else "unreachable"
