"""Builds the manifest of one model version: lists its trees, hashes within limits, reads the environment."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from verifywise_mlflow.artifacts.caching_source import SharedTree
from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES, MAX_FILE_BYTES
from verifywise_mlflow.artifacts.file_classifier import Pattern, classify
from verifywise_mlflow.artifacts.hashing import HashedBytes, NotHashed, over_the_limit, size_difference
from verifywise_mlflow.artifacts.limits import Limits
from verifywise_mlflow.artifacts.location import ModelLocation, NoFiles, UnreachableFiles
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ManifestStatus,
    ModelSignature,
    Root,
    RuntimeEnvironment,
)
from verifywise_mlflow.artifacts.model_signing.spec import is_bundle_name
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.question import Question
from verifywise_mlflow.artifacts.source import ArtifactSource, ArtifactUnreadable
from verifywise_mlflow.artifacts.walk import Listing, walk
from verifywise_mlflow.connector.models import RemoteFile

MAX_BUNDLES = 20
"""Signatures of one version that are verified."""
MAX_BUNDLE_BYTES = 16 * 1024**2
HASHING_IS_OFF = "not hashed: hashing is switched off"


def build_manifest(
    location: ModelLocation,
    model_files: ArtifactSource | None,
    run_files: ArtifactSource | None,
    *,
    model_path: str,
    limits: Limits,
    hash_files: bool,
    sandbox: Sandbox,
    kinds: Sequence[Pattern] = (),
    trusted: TrustedSigners | None = None,
) -> ArtifactManifest:
    """Look at every file of a version. Failures to read are part of the manifest, never errors.

    Args:
        location: Where the model's files lie, from ``locate``.
        model_files: The root that holds the model's folder; not asked where ``location`` is out of reach.
        run_files: The artifacts of the version's run. Where the model lies in that same run, pass the same object:
            its folder is then left out of the run's tree. A ``SharedTree`` is read once for all its versions.
        model_path: The model's folder within ``model_files``: ``RunFiles.path``, empty for a logged model.
        limits: What is looked at, at most.
        hash_files: If false, only environment files are read.
        sandbox: Where bytes are hashed and environment files parsed; a ``SharedTree`` hashes in its own.
        kinds: The tenant's own rows for what a file is, before the default ones.
        trusted: Whose signatures beside the model are believed; without it, none is.
    """
    uri = None if isinstance(location, NoFiles) else location.uri
    reasons: list[str] = []
    trees: list[_Tree] = []
    environment: RuntimeEnvironment | None = None
    inspector = _Inspector(limits, hash_files, sandbox, kinds)

    if isinstance(location, NoFiles | UnreachableFiles):
        reasons.append(location.reason)
    elif model_files is None:
        reasons.append(f"nothing is set up to read {location.uri}")
    else:
        tree = _model_tree(SharedTree.of(model_files, sandbox), model_path, limits)
        trees.append(tree)
        if tree.listing.reached and not tree.listing.files and not tree.listing.problems:
            reasons.append(f"the server lists no files at {location.uri}")
        elif tree.listing.files:
            environment = inspector.read_environment(tree)
    if run_files is not None:
        excluded = {model_path} if run_files is model_files and trees else set()
        if "" not in excluded:  # else the model is the whole run
            shared = SharedTree.of(run_files, sandbox)
            trees.append(_Tree("run", shared, "", walk(shared, "", limits, excluded)))

    files = [inspector.inspect(tree, file) for tree in trees for file in tree.listing.files]
    for tree in trees:
        reasons += [f"{tree.root}: {problem}" for problem in tree.listing.problems]
    reasons += inspector.reasons()
    status = _status(location, trees, files, reasons)
    ordered = tuple(sorted(files, key=lambda file: (file.root, file.path)))
    return ArtifactManifest(
        location=uri,
        status=status,
        reason="; ".join(reasons) or None,
        files=ordered,
        environment=environment,
        digest=digest_of(ordered) if status == "complete" else None,
        not_listed=_not_listed(trees),
        is_limited=status == "partial" and not _not_listed(trees) and inspector.is_limited,
        signatures=_signatures(trees, ordered, model_path, sandbox, trusted or TrustedSigners(), hash_files=hash_files),
    )


def _not_listed(trees: Sequence[_Tree]) -> tuple[Root, ...]:
    listed = {tree.root for tree in trees if tree.listing.reached and not tree.listing.problems}
    return tuple(root for root in get_args(Root) if root not in listed)


@dataclass(frozen=True, slots=True)
class TrustedSigners:
    """Whose signatures a tenant trusts, as PEM, and at which time certificates are judged."""

    public_keys: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    now: float = 0.0
    """Seconds since 1970."""


def _signatures(
    trees: Sequence[_Tree],
    files: Sequence[ArtifactFile],
    model_path: str,
    sandbox: Sandbox,
    trusted: TrustedSigners,
    *,
    hash_files: bool,
) -> tuple[ModelSignature, ...]:
    """Verify the bundles at the top of the model's folder, and those right beside it in its run."""
    model = next((tree for tree in trees if tree.root == "model"), None)
    if model is None:
        return ()
    hashes = {file.path: file.sha256 for file in files if file.root == "model"}
    inside = [(path, model.source, f"{model.base}/{path}" if model.base else path) for path in hashes]
    around = model_path.rpartition("/")[0]
    beside = [
        (f"../{file.path.rpartition('/')[2]}", tree.source, file.path)
        for tree in trees
        if tree.root == "run" and model_path
        for file in tree.listing.files
        if file.path.rpartition("/")[0] == around
    ]
    bundles = [found for found in (*inside, *beside) if is_bundle_name(found[0].removeprefix("../"))]
    checked: list[ModelSignature] = []
    for path, source, place in sorted(bundles, key=lambda found: found[0]):
        if len(checked) >= MAX_BUNDLES or not hash_files:
            reason = f"it is one of more than {MAX_BUNDLES}" if hash_files else "hashing is switched off"
            checked.append(ModelSignature(path, "not verified", reason, None, None))
            continue
        if model.listing.problems:
            # A file that is missing cannot be told from one that was not listed.
            reason = "not every file of the model could be listed"
            checked.append(ModelSignature(path, "not verified", reason, None, None))
            continue
        try:
            bundle = source.content_of(place, MAX_BUNDLE_BYTES)
        except ArtifactUnreadable as error:
            checked.append(ModelSignature(path, "not verified", f"it could not be read: {error}", None, None))
            continue
        question = Question(path, hashes, trusted.public_keys, trusted.authorities, trusted.now)
        checked.append(sandbox.signature(bundle, question))
    return tuple(checked)


def digest_of(files: Iterable[ArtifactFile]) -> str | None:
    """SHA-256 over one JSON line ``[root, path, size, sha256]`` for each file, sorted; null if any is not hashed."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: (file.root, file.path)):
        if file.sha256 is None:
            return None
        entry = [file.root, file.path, file.size, file.sha256]
        digest.update(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Tree:
    root: Root
    source: SharedTree
    base: str
    """The folder that the manifest's paths are relative to."""
    listing: Listing

    def relative(self, path: str) -> str:
        return path.removeprefix(f"{self.base}/") if self.base else path


def _model_tree(source: SharedTree, model_path: str, limits: Limits) -> _Tree:
    listing = walk(source, model_path, limits)
    if listing.reached and not listing.files and not listing.problems and model_path:
        # People register single files (runs:/RUN/model.pkl); MLflow lists those as if they were empty folders.
        parent = model_path.rpartition("/")[0]
        around = walk(source, parent, Limits(files=limits.files, directories=1, depth=1))
        if single := [file for file in around.files if file.path == model_path]:
            return _Tree("model", source, parent, Listing(tuple(single), ()))
    return _Tree("model", source, model_path, listing)


def _status(
    location: ModelLocation, trees: list[_Tree], files: list[ArtifactFile], reasons: list[str]
) -> ManifestStatus:
    if not reasons:
        return "complete"
    if files or any(tree.root == "model" and tree.listing.reached for tree in trees):
        return "partial"
    return "none" if isinstance(location, NoFiles) else "unreachable"


@dataclass(slots=True)
class _Inspector:
    """Turns listed files into the manifest's entries and keeps account of what it read."""

    limits: Limits
    hash_files: bool
    sandbox: Sandbox
    kinds: Sequence[Pattern]
    bytes_hashed: int = 0
    began: float = field(default_factory=time.monotonic)
    unread: list[str] = field(default_factory=list)
    environment_hashes: dict[str, HashedBytes | NotHashed] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    """Environment files that the sandbox did not survive, and what became of it."""

    def read_environment(self, tree: _Tree) -> RuntimeEnvironment:
        contents: dict[str, bytes] = {}
        unreadable: dict[str, str] = {}
        for file in tree.listing.files:
            name = tree.relative(file.path)
            if name not in ENVIRONMENT_FILES:
                continue
            try:
                content = tree.source.content_of(file.path, MAX_FILE_BYTES)
            except ArtifactUnreadable as error:
                unreadable[name] = str(error)
                continue
            if difference := size_difference(file.size, len(content)):
                unreadable[name] = difference
            else:
                contents[name] = content
                self.environment_hashes[name] = tree.source.hash_of(file.path, MAX_FILE_BYTES)
        read = self.sandbox.environment(contents, unreadable)
        self.lost = read.lost
        return read.environment

    def inspect(self, tree: _Tree, file: RemoteFile) -> ArtifactFile:
        path = tree.relative(file.path)
        hashed = self.environment_hashes.get(path) if tree.root == "model" else None
        hashed = hashed or self._hash(tree, file)
        kind = classify(path, tree.root, self.kinds)
        if isinstance(hashed, NotHashed):
            if hashed.reason != HASHING_IS_OFF:
                self.unread.append(f"{tree.root}: {path} {hashed.reason}")
            return ArtifactFile(tree.root, path, file.size, None, kind, hashed.reason)
        self.bytes_hashed += hashed.size
        note = None
        if tree.root == "model" and path in self.lost:
            note = f"not understood: {self.lost[path]}"
            self.unread.append(f"{tree.root}: {path} {note}")
        return ArtifactFile(tree.root, path, hashed.size, hashed.sha256, kind, note)

    @property
    def is_limited(self) -> bool:
        """Whether all that was not read is over a limit of the tenant's."""
        return all(" not hashed: over the limit" in unread for unread in self.unread)

    def reasons(self) -> list[str]:
        """What was listed but not read, as one sentence: each file's own note says more."""
        if not self.unread:
            return []
        more = f" and {len(self.unread) - 1} more" if len(self.unread) > 1 else ""
        return [f"{self.unread[0]}{more}"]

    def _hash(self, tree: _Tree, file: RemoteFile) -> HashedBytes | NotHashed:
        if not self.hash_files:
            return NotHashed(HASHING_IS_OFF)
        if time.monotonic() - self.began > self.limits.seconds:
            return NotHashed(f"not hashed: over the limit of {self.limits.seconds:g} seconds for one version")
        left = max(0, self.limits.total_bytes - self.bytes_hashed)
        if (file.size or 0) > self.limits.file_bytes:
            return over_the_limit(self.limits.file_bytes)
        if (file.size or 0) > left:
            return NotHashed(f"not hashed: over the limit of {self.limits.total_bytes} bytes for one version")
        return tree.source.hash_of(file.path, min(self.limits.file_bytes, left), file.size)
