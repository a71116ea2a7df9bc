"""Classifies a file by its name and path alone. The first pattern that matches decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from verifywise_mlflow.artifacts.manifest import FileKind, Root
from verifywise_mlflow.common.globs import compile_globs

EVIDENCE_KINDS: frozenset[FileKind] = frozenset(
    {
        FileKind.EVALUATION,
        FileKind.EXPLANATION,
        FileKind.MODEL_CARD,
        FileKind.DATA_SHEET,
        FileKind.BIAS_REPORT,
        FileKind.SAFETY_REPORT,
        FileKind.PLOT,
        FileKind.SIGNATURE,
    }
)
"""Kinds of files that document a model rather than being part of it."""


@dataclass(frozen=True, slots=True)
class FilePattern:
    """A pattern for a kind of file: the name, a folder or the whole path must match. Matching ignores case.

    Tenants can add patterns in tenants.yaml.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    kind: FileKind
    names: tuple[str, ...] = ()
    """Globs for the last segment of the path."""
    folders: tuple[str, ...] = ()
    """Globs for any directory in the path."""
    paths: tuple[str, ...] = ()
    """Globs for the whole path. A glob without a slash or ``*`` matches only a file at the top of the root."""
    roots: tuple[Root, ...] = ("model", "run")


DEFAULT_PATTERNS: tuple[FilePattern, ...] = (
    FilePattern(FileKind.SIGNATURE, names=("*.sig", "*.sigstore", "*.sigstore.json", "*.asc", "*.p7s")),
    FilePattern(FileKind.MLMODEL, names=("mlmodel",)),
    FilePattern(
        FileKind.ENVIRONMENT,
        names=(
            *("conda.yaml", "conda.yml", "conda.lock", "conda-lock.yml", "environment.yaml", "environment.yml"),
            *("python_env.yaml", "requirements*.txt", "constraints*.txt", "pip-requirements.txt"),
            *("pyproject.toml", "poetry.lock", "uv.lock", "pylock.toml", "pipfile", "pipfile.lock", "dockerfile"),
        ),
    ),
    # Code of a model: evaluate.py is not an evaluation.
    FilePattern(FileKind.OTHER, names=("*.py", "*.pyc", "*.pyi")),
    # This pattern precedes the patterns of evidence: fairness_model.pkl is a binary that somebody will load.
    FilePattern(
        FileKind.MODEL,
        names=(
            *("*.pkl", "*.pickle", "*.joblib", "*.skops", "*.cloudpickle", "*.dill"),
            *("*.onnx", "*.pt", "*.pth", "*.pt2", "*.ckpt", "*.safetensors", "*.gguf", "*.tflite", "*.mlmodelc"),
            *("*.h5", "*.hdf5", "*.keras", "saved_model.pb", "*.bst", "*.xgb", "*.ubj", "*.lgb", "*.cb", "*.cbm"),
        ),
    ),
    FilePattern(FileKind.MODEL_CARD, names=("model_card*", "model-card*", "modelcard*", "model card*")),
    FilePattern(FileKind.MODEL_CARD, paths=("readme", "readme.md", "readme.rst", "readme.txt"), roots=("model",)),
    FilePattern(
        FileKind.DATA_SHEET,
        names=("datasheet*", "data_sheet*", "data-sheet*", "data_card*", "data-card*", "datacard*", "dataset_card*"),
    ),
    # Files in a model's own data folders are its weights, even a layer named bias.
    FilePattern(
        FileKind.MODEL,
        names=("*.bin", "*.npy", "*.npz", "*.pb", "*.index", "*.data-?????-of-?????", "*.parquet", "model.txt"),
        folders=("data", "variables", "components", "sparkml", "tf2model", "tfmodel", "model", "pipeline"),
        paths=("model.json", "*.model.json", "model.xgb.json", "tokenizer*.json", "config.json"),
        roots=("model",),
    ),
    FilePattern(FileKind.BIAS_REPORT, names=("*bias*", "*fairness*"), folders=("*bias*", "*fairness*")),
    # Not every `safety*`: safety_stock.csv is about warehouses.
    FilePattern(
        FileKind.SAFETY_REPORT,
        names=(
            *("safety.*", "*safety[_-]eval*", "*safety[_-]report*", "*safety[_-]test*", "*safety[_-]results*"),
            *("*red[_-]team*", "*redteam*", "*toxicity*", "*jailbreak*"),
        ),
        folders=("safety", "safety[_-]eval*", "red[_-]team*", "redteam*"),
    ),
    # `shap[!e]*`: shape.json and shapes.csv are not explanations; neither is limestone.csv.
    FilePattern(
        FileKind.EXPLANATION,
        names=("shap", "shap[!e]*", "*_shap", "*[_-]shap[._-]*", "lime", "lime[._-]*", "explain*", "*explanation*"),
        folders=("shap", "shap[_-]*", "lime", "lime[_-]*", "explain*", "*explanation*"),
    ),
    FilePattern(
        FileKind.PLOT, names=("*.png", "*.jpg", "*.jpeg", "*.svg", "*.gif", "*.webp", "*.bmp", "*.tif", "*.tiff")
    ),
    FilePattern(
        FileKind.EVALUATION,
        names=(
            *("eval*", "metrics.*", "*[_-]metrics.*", "classification_report*", "classification-report*"),
            *("*report*.json", "*report*.html", "*report*.pdf", "*report*.md", "*report*.txt", "*report*.csv"),
            *("confusion_matrix.*", "confusion-matrix.*", "*test_results*", "*validation_results*"),
        ),
        folders=("eval*", "metrics"),
    ),
)
"""The package's patterns, in order of precedence. A tenant's own patterns precede them."""


@dataclass(frozen=True, slots=True)
class _CompiledPattern:
    """A pattern with its globs as regular expressions."""

    kind: FileKind
    roots: tuple[Root, ...]
    name: re.Pattern[str]
    folder: re.Pattern[str]
    path: re.Pattern[str]


def classify_file(path: str, root: Root, patterns: Sequence[FilePattern] = ()) -> FileKind:
    """Return the kind of the file at ``path``, relative to ``root``. ``patterns`` take precedence over the defaults."""
    lowered = path.lower()
    *folders, name = lowered.split("/")
    for pattern in (*map(_compile, patterns), *_COMPILED_DEFAULTS):
        if root not in pattern.roots:
            continue
        in_folder = any(pattern.folder.match(folder) for folder in folders)
        if in_folder or pattern.name.match(name) or pattern.path.match(lowered):
            return pattern.kind
    return FileKind.OTHER


@cache
def _compile(pattern: FilePattern) -> _CompiledPattern:
    globs = (pattern.names, pattern.folders, pattern.paths)
    return _CompiledPattern(
        pattern.kind, pattern.roots, *(compile_globs(map(str.lower, patterns)) for patterns in globs)
    )


_COMPILED_DEFAULTS = tuple(map(_compile, DEFAULT_PATTERNS))
