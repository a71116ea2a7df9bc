from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.file_classifier import FilePattern, classify_file
from verifywise_mlflow.artifacts.manifest import FileKind, Root


@pytest.mark.parametrize(
    ("root", "path", "kind"),
    [
        ("model", "MLmodel", FileKind.MLMODEL),
        ("model", "metadata/MLmodel", FileKind.MLMODEL),
        ("model", "conda.yaml", FileKind.ENVIRONMENT),
        ("model", "python_env.yaml", FileKind.ENVIRONMENT),
        ("run", "env/requirements-dev.txt", FileKind.ENVIRONMENT),
        ("model", "model.sig", FileKind.SIGNATURE),
        ("model", "model.pkl.sigstore.json", FileKind.SIGNATURE),
        ("model", "model.pkl", FileKind.MODEL),
        ("model", "data/model.pth", FileKind.MODEL),
        ("model", "data/layers/bias.npy", FileKind.MODEL),
        ("model", "tfmodel/saved_model.pb", FileKind.MODEL),
        ("model", "model.json", FileKind.MODEL),
        ("run", "scaler.joblib", FileKind.MODEL),
        ("run", "fairness_model.pkl", FileKind.MODEL),
        ("model", "README.md", FileKind.MODEL_CARD),
        ("model", "code/README.md", FileKind.OTHER),
        ("run", "README.md", FileKind.OTHER),
        ("run", "docs/MODEL_CARD.md", FileKind.MODEL_CARD),
        ("run", "datasheet.pdf", FileKind.DATA_SHEET),
        ("run", "Data_Card.md", FileKind.DATA_SHEET),
        ("run", "gender_bias.csv", FileKind.BIAS_REPORT),
        ("run", "fairness/report.html", FileKind.BIAS_REPORT),
        ("run", "red_team_report.html", FileKind.SAFETY_REPORT),
        ("run", "eval/Toxicity.json", FileKind.SAFETY_REPORT),
        ("run", "safety/results.csv", FileKind.SAFETY_REPORT),
        ("run", "safety_stock.csv", FileKind.OTHER),
        ("run", "shap_summary.png", FileKind.EXPLANATION),
        ("run", "shape.json", FileKind.OTHER),
        ("run", "lime.html", FileKind.EXPLANATION),
        ("run", "limestone.csv", FileKind.OTHER),
        ("run", "explanations/row-1.json", FileKind.EXPLANATION),
        ("run", "confusion_matrix.png", FileKind.PLOT),
        ("run", "confusion_matrix.json", FileKind.EVALUATION),
        ("run", "metrics.json", FileKind.EVALUATION),
        ("run", "eval_results_table.json", FileKind.EVALUATION),
        ("run", "classification_report.txt", FileKind.EVALUATION),
        ("run", "evaluation/run.json", FileKind.EVALUATION),
        ("model", "code/evaluate.py", FileKind.OTHER),
        ("model", "input_example.json", FileKind.OTHER),
        ("run", "notes.txt", FileKind.OTHER),
    ],
)
def test_the_kind_follows_from_name_and_path(root: Root, path: str, kind: FileKind) -> None:
    assert classify_file(path, root) == kind


def test_a_tenants_own_patterns_come_first() -> None:
    own = FilePattern(FileKind.DATA_SHEET, names=("Herkunft*.PNG",))

    assert classify_file("herkunft-2024.png", "run", [own]) == FileKind.DATA_SHEET
    assert classify_file("other.png", "run", [own]) == FileKind.PLOT


@given(st.text(), st.sampled_from(["model", "run"]))
def test_every_path_has_a_kind(path: str, root: Root) -> None:
    assert classify_file(path, root) in FileKind
