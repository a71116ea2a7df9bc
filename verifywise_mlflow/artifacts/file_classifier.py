"""What a file is, told by its name and place alone. The first row of the table that fits decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import ClassVar

from verifywise_mlflow.artifacts.manifest import FileKind, Root

EVIDENCE: frozenset[FileKind] = frozenset(
    {
        FileKind.EVALUATION,
        FileKind.EXPLANATION,
        FileKind.MODEL_CARD,
        FileKind.DATA_SHEET,
        FileKind.BIAS_REPORT,
        FileKind.PLOT,
        FileKind.SIGNATURE,
    }
)
"""Kinds that speak about a model rather than being it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One row: what a file is whose name, folder or whole path is written like this. Case does not matter.

    A tenant's description may hold rows of its own.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    kind: FileKind
    names: tuple[str, ...] = ()
    """Globs for the last segment of the path."""
    folders: tuple[str, ...] = ()
    """Globs for any directory on the way."""
    paths: tuple[str, ...] = ()
    """Globs for the whole path; one without a slash or ``*`` means a file at the root's top."""
    roots: tuple[Root, ...] = ("model", "run")


DEFAULT_PATTERNS: tuple[Pattern, ...] = (
    Pattern(FileKind.SIGNATURE, names=("*.sig", "*.sigstore", "*.sigstore.json", "*.asc", "*.p7s")),
    Pattern(FileKind.MLMODEL, names=("mlmodel",)),
    Pattern(
        FileKind.ENVIRONMENT,
        names=(
            *("conda.yaml", "conda.yml", "conda.lock", "conda-lock.yml", "environment.yaml", "environment.yml"),
            *("python_env.yaml", "requirements*.txt", "constraints*.txt", "pip-requirements.txt"),
            *("pyproject.toml", "poetry.lock", "uv.lock", "pylock.toml", "pipfile", "pipfile.lock", "dockerfile"),
        ),
    ),
    # Code that a model brings along: evaluate.py is no evaluation.
    Pattern(FileKind.OTHER, names=("*.py", "*.pyc", "*.pyi")),
    # Ahead of the evidence: fairness_model.pkl is a binary that somebody will load.
    Pattern(
        FileKind.MODEL,
        names=(
            *("*.pkl", "*.pickle", "*.joblib", "*.skops", "*.cloudpickle", "*.dill"),
            *("*.onnx", "*.pt", "*.pth", "*.pt2", "*.ckpt", "*.safetensors", "*.gguf", "*.tflite", "*.mlmodelc"),
            *("*.h5", "*.hdf5", "*.keras", "saved_model.pb", "*.bst", "*.xgb", "*.ubj", "*.lgb", "*.cb", "*.cbm"),
        ),
    ),
    Pattern(FileKind.MODEL_CARD, names=("model_card*", "model-card*", "modelcard*", "model card*")),
    Pattern(FileKind.MODEL_CARD, paths=("readme", "readme.md", "readme.rst", "readme.txt"), roots=("model",)),
    Pattern(
        FileKind.DATA_SHEET,
        names=("datasheet*", "data_sheet*", "data-sheet*", "data_card*", "data-card*", "datacard*", "dataset_card*"),
    ),
    # What fills a model's own data folders is its weights, also a layer that is called bias.
    Pattern(
        FileKind.MODEL,
        names=("*.bin", "*.npy", "*.npz", "*.pb", "*.index", "*.data-?????-of-?????", "*.parquet", "model.txt"),
        folders=("data", "variables", "components", "sparkml", "tf2model", "tfmodel", "model", "pipeline"),
        paths=("model.json", "*.model.json", "model.xgb.json", "tokenizer*.json", "config.json"),
        roots=("model",),
    ),
    Pattern(FileKind.BIAS_REPORT, names=("*bias*", "*fairness*"), folders=("*bias*", "*fairness*")),
    # `shap[!e]*`: shape.json and shapes.csv are about something else; so is limestone.csv.
    Pattern(
        FileKind.EXPLANATION,
        names=("shap", "shap[!e]*", "*_shap", "*[_-]shap[._-]*", "lime", "lime[._-]*", "explain*", "*explanation*"),
        folders=("shap", "shap[_-]*", "lime", "lime[_-]*", "explain*", "*explanation*"),
    ),
    Pattern(FileKind.PLOT, names=("*.png", "*.jpg", "*.jpeg", "*.svg", "*.gif", "*.webp", "*.bmp", "*.tif", "*.tiff")),
    Pattern(
        FileKind.EVALUATION,
        names=(
            *("eval*", "metrics.*", "*[_-]metrics.*", "classification_report*", "classification-report*"),
            *("*report*.json", "*report*.html", "*report*.pdf", "*report*.md", "*report*.txt", "*report*.csv"),
            *("confusion_matrix.*", "confusion-matrix.*", "*test_results*", "*validation_results*"),
        ),
        folders=("eval*", "metrics"),
    ),
)
"""In the order of precedence. A tenant's own rows go before these."""


@dataclass(frozen=True, slots=True)
class _Row:
    kind: FileKind
    roots: tuple[Root, ...]
    name: re.Pattern[str]
    folder: re.Pattern[str]
    path: re.Pattern[str]


def classify(path: str, root: Root, patterns: Sequence[Pattern] = ()) -> FileKind:
    """The kind of the file at ``path``, relative to ``root``; ``patterns`` take precedence over the default ones."""
    lowered = path.lower()
    *folders, name = lowered.split("/")
    for row in (*map(_compiled, patterns), *_DEFAULT_ROWS):
        if root not in row.roots:
            continue
        if row.name.match(name) or row.path.match(lowered) or any(row.folder.match(folder) for folder in folders):
            return row.kind
    return FileKind.OTHER


@cache
def _compiled(pattern: Pattern) -> _Row:
    return _Row(pattern.kind, pattern.roots, *map(_any_of, (pattern.names, pattern.folders, pattern.paths)))


def _any_of(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob.lower()) for glob in globs) or r"(?!)")


_DEFAULT_ROWS = tuple(map(_compiled, DEFAULT_PATTERNS))
