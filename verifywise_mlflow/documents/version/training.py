"""What the version was trained on, how it was evaluated, and which files it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from verifywise_mlflow.artifacts.file_classifier import EVIDENCE_KINDS
from verifywise_mlflow.artifacts.manifest import ArtifactFile
from verifywise_mlflow.documents.blocks import Block, Cell, Paragraph, Section, Table, limited_table, shorten
from verifywise_mlflow.documents.version.wording import field_rows, origin_note, show_value
from verifywise_mlflow.services.record_parts import Environment, PromptUse
from verifywise_mlflow.services.version_dossier import VersionDossier

MAX_ROWS = 100
"""The maximum number of rows of a table on a page. The JSON files of the pack have all rows."""


def what_it_was_trained_on(dossier: VersionDossier) -> Section:
    """Return the data sets, the code, the run and the parameters."""
    return Section(
        "what-it-was-trained-on",
        "What it was trained on",
        (
            *_data_sets(dossier),
            Table(
                "The training run",
                ("What", "Value and source"),
                field_rows(
                    dossier,
                    *("source_run_id", "experiment_name", "training_status", "training_started_at"),
                    *("training_ended_at", "code_commit", "training_entrypoint", "prompt_reference"),
                ),
            ),
            *_prompts(dossier),
            *_pairs(
                "Parameters of the training",
                ("Parameter", "Value"),
                dossier.record.hyperparameters,
                "The run recorded no parameter.",
                "No parameter is known, because no training run could be read.",
            ),
            *_environment(dossier),
        ),
    )


def _prompts(dossier: VersionDossier) -> Iterator[Block]:
    if dossier.prompts:
        yield limited_table(
            "The prompts that it names, as the registry had them. Their texts are not stored",
            ("Prompt", "Version", "In the registry", "SHA-256 of the template"),
            map(_prompt_row, dossier.prompts),
            limit=MAX_ROWS,
        )


def _prompt_row(link: PromptUse) -> tuple[Cell, ...]:
    alias = f" (@{link.alias})" if link.alias else ""
    number = "not named" if link.version_number is None else str(link.version_number)
    return (
        Cell(shorten(link.name)),
        Cell(shorten(f"{number}{alias}")),
        Cell(link.state),
        Cell(link.template_sha256 or ""),
    )


def how_it_was_evaluated(dossier: VersionDossier) -> Section:
    """Return the metrics, the tags about the evaluation, and the evidence files."""
    manifest = dossier.manifest
    evidence = [file for file in manifest.files if file.kind in EVIDENCE_KINDS] if manifest else []
    files: tuple[Block, ...] = (
        Paragraph("No file of this version is an evaluation report, a model card or other evidence by its name."),
    )
    if evidence:
        files = (
            limited_table(
                "Files that are evidence by their names; their contents were not examined",
                ("File", "Kind", "Size", "SHA-256"),
                map(_file_row, evidence),
                limit=MAX_ROWS,
            ),
        )
    return Section(
        "how-it-was-evaluated",
        "How it was evaluated",
        (
            Paragraph(
                "Metrics are the numbers that the training run logged. They do not show whether they are the right "
                "measures for the purpose, nor who stands behind them."
            ),
            *_pairs(
                "Metrics, the last value of each",
                ("Metric", "Value"),
                dossier.record.metrics,
                "The run recorded no metric.",
                "No metric is known, because no training run could be read.",
            ),
            *_pairs("What tags say about the evaluation", ("Tag", "Text"), dossier.record.evaluation_tags, "", ""),
            *files,
        ),
    )


def files(dossier: VersionDossier) -> Section:
    """Return the files with their hashes and signatures."""
    manifest = dossier.manifest
    if manifest is None:
        return Section("files", "Files", (Paragraph("No list of files is recorded.", "warning"),))
    blocks: list[Block] = []
    if manifest.status != "complete":
        blocks.append(Paragraph(f"The list is {manifest.status}: {manifest.reason or 'no reason known'}.", "warning"))
    if manifest.digest:
        blocks.append(Paragraph(f"SHA-256 over the whole list: {manifest.digest}"))
    blocks.append(
        limited_table(
            f"{len(manifest.files):,} files",
            ("File", "Kind", "Size", "SHA-256"),
            map(_file_row, manifest.files),
            limit=MAX_ROWS,
        )
    )
    if manifest.signatures:
        rows = (
            (
                Cell(shorten(signature.path, 300), form="code"),
                Cell(signature.status, signature.reason or "", "good" if signature.status == "valid" else "warning"),
                Cell(shorten(signature.signer or "not established", 300)),
            )
            for signature in manifest.signatures
        )
        blocks.append(limited_table("Signatures of the model", ("Signature", "State", "Signer"), rows, limit=MAX_ROWS))
    return Section("files", "Files", tuple(blocks))


def _data_sets(dossier: VersionDossier) -> Iterator[Block]:
    origin = origin_note(dossier.state.origins.get("dataset_reference"))
    if not dossier.data_sets:
        yield Paragraph("No data set is recorded.", "warning")
    else:
        rows = (
            (
                Cell(shorten(data_set.name, 300) or "without a name"),
                Cell(shorten(data_set.context or "not recorded", 200)),
                Cell(shorten(data_set.digest or "not recorded", 200), form="code" if data_set.digest else "text"),
                Cell(shorten(data_set.source or "not recorded", 300), shorten(data_set.source_type or "", 100)),
            )
            for data_set in dossier.data_sets
        )
        yield limited_table("Data sets", ("Name", "Used for", "Digest", "Source"), rows, limit=MAX_ROWS)
        if origin:
            yield Paragraph(origin)


def _environment(dossier: VersionDossier) -> Iterator[Block]:
    environment = dossier.environment
    if environment is None:
        yield Paragraph("No environment is recorded: which software the model needs is unknown.", "warning")
        return
    yield Paragraph(
        f"The environment was read from {shorten(', '.join(environment.sources) or 'no file', 200)}. Python "
        f"{environment.python_version or 'not recorded'}, MLflow {environment.mlflow_version or 'not recorded'}. "
        f"{describe_pins(environment)}"
    )
    if environment.packages:
        rows = (
            (
                Cell(shorten(package.name, 200)),
                Cell(shorten(package.specifier, 200) or "any version"),
                Cell(shorten(package.source, 200), form="code"),
            )
            for package in environment.packages
        )
        yield limited_table("Packages", ("Package", "Version", "Stated in"), rows, limit=MAX_ROWS)


def describe_pins(environment: Environment) -> str:
    """Return whether the packages are pinned. Build tools, such as pip, need no pin to be reproducible."""
    if not environment.is_reproducible:
        return f"Not every part is pinned: {shorten(', '.join(environment.missing_pins) or 'reason unknown', 300)}."
    unpinned = [package.name for package in environment.packages if not package.pinned]
    if not unpinned:
        return "Every package is pinned to one version."
    return (
        "Every package that runs with the model is pinned to one version. The exceptions are build tools, or another "
        f"file pins them: {shorten(', '.join(dict.fromkeys(unpinned)), 300)}."
    )


def _pairs(
    caption: str, headings: tuple[str, str], values: Mapping[str, object] | None, if_empty: str, if_unknown: str
) -> Iterator[Block]:
    if values:
        rows = ((Cell(shorten(name, 300)), Cell(show_value(value, 300))) for name, value in sorted(values.items()))
        yield limited_table(caption, headings, rows, limit=MAX_ROWS)
    elif sentence := if_unknown if values is None else if_empty:
        yield Paragraph(sentence, "warning")


def _file_row(file: ArtifactFile) -> tuple[Cell, ...]:
    size = "unknown" if file.size is None else f"{file.size:,} bytes"
    sha256 = Cell(file.sha256, form="code") if file.sha256 else Cell("not hashed", file.note or "", "warning")
    prefix = "" if file.root == "model" else "run: "
    return (Cell(prefix + shorten(file.path, 300), form="code"), Cell(file.kind.value), Cell(size), sha256)
