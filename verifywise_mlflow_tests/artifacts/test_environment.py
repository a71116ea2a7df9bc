from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.environment.environment_file import MAX_PACKAGES
from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES, MAX_FILE_BYTES, read_environment
from verifywise_mlflow.artifacts.environment.requirements import parse_requirements
from verifywise_mlflow.artifacts.manifest import Requirement

REGISTRIES = Path(__file__).parents[3] / "shared" / "registries"

CONDA = """\
channels:
- conda-forge
dependencies:
- python=3.9.6
- pip<=23.0
- pip:
  - mlflow==2.9.2
  - scikit-learn==1.3.2
name: mlflow-env
"""
PYTHON_ENV = """\
python: 3.9.6
build_dependencies:
- pip==23.0
- setuptools==68.0
- wheel
- cython
dependencies:
- -r requirements.txt
"""
MLMODEL = """\
flavors:
  python_function:
    loader_module: mlflow.sklearn
    python_version: 3.9.6
    cloudpickle_version: 3.0.0
  sklearn:
    code: null
    serialization_format: cloudpickle
    sklearn_version: 1.3.2
  xgboost: {xgb_version: 2.0.3}
mlflow_version: 2.9.2
model_size_bytes: 1024
signature:
  inputs: '[{"type": "double", "name": "salary", "required": true}]'
  outputs: '[{"type": "long"}]'
  params: null
"""
REQUIREMENTS = "mlflow==2.9.2\nscikit-learn==1.3.2\n"


def files(**named: str) -> dict[str, bytes]:
    names = {
        "conda": "conda.yaml",
        "python_env": "python_env.yaml",
        "requirements": "requirements.txt",
        "mlmodel": "MLmodel",
    }
    return {names[key]: content.encode() for key, content in named.items()}


def test_files_written_by_mlflow_with_exact_versions_are_reproducible() -> None:
    environment = read_environment(
        files(conda=CONDA, python_env=PYTHON_ENV, requirements=REQUIREMENTS, mlmodel=MLMODEL)
    )

    assert environment.reproducible
    assert environment.missing_pins == ()
    assert environment.problems == ()
    assert environment.python_version == "3.9.6"
    assert environment.sources == ("python_env.yaml", "conda.yaml", "requirements.txt")
    assert environment.mlflow_version == "2.9.2"
    assert environment.flavors == {"python_function": None, "sklearn": "1.3.2", "xgboost": "2.0.3"}
    assert environment.serialization_format == "cloudpickle"
    assert environment.model_size_bytes == 1024
    assert environment.signature == ("inputs", "outputs")
    assert "salary" not in str(environment), "what the columns are called stays where it is"
    assert Requirement("pip", "<=23.0", "conda.yaml", pinned=False) in environment.packages
    assert Requirement("mlflow", "==2.9.2", "conda.yaml", pinned=True) in environment.packages
    assert Requirement("mlflow", "==2.9.2", "requirements.txt", pinned=True) in environment.packages


@pytest.mark.parametrize(
    ("named", "missing"),
    [
        ({}, ("no environment file", "python")),
        ({"mlmodel": MLMODEL}, ("no environment file",)),
        ({"requirements": REQUIREMENTS}, ("python",)),
        ({"requirements": REQUIREMENTS, "mlmodel": MLMODEL}, ()),
        ({"requirements": "b\na>=1\nc==1\n", "mlmodel": MLMODEL}, ("a", "b")),
        ({"requirements": "# nothing\n", "mlmodel": MLMODEL}, ("no packages named",)),
        ({"conda": "dependencies: [python>=3.8, numpy==1.2]"}, ("python",)),
        ({"conda": CONDA, "requirements": "scikit-learn\n"}, ()),  # a package that one file pins counts as pinned
        ({"conda": CONDA, "requirements": "scikit-learn==1.4\n"}, ("scikit-learn",)),
        ({"conda": CONDA, "python_env": "python: '3.10'"}, ("python",)),
        ({"conda": CONDA, "python_env": "python: 3.9"}, ()),
        ({"python_env": PYTHON_ENV}, ("no packages named", "python_env.yaml (not read in full)")),
        ({"requirements": "a==1\n-r base.txt\n", "mlmodel": MLMODEL}, ("requirements.txt (not read in full)",)),
        ({"requirements": "a==1\n%%\n", "mlmodel": MLMODEL}, ("requirements.txt (not read in full)",)),
        ({"conda": CONDA + "\n]"}, ("python", "no packages named", "conda.yaml (not read in full)")),
    ],
)
def test_each_reason_against_reproducibility_is_listed(named: dict[str, str], missing: tuple[str, ...]) -> None:
    environment = read_environment(files(**named))

    assert environment.missing_pins == missing
    assert environment.reproducible is (not missing)


def test_conflicting_pins_are_reported() -> None:
    environment = read_environment(files(conda=CONDA, requirements="scikit-learn==1.4\nmlflow==2.9.2.0\n"))

    assert environment.problems == ("scikit-learn is pinned to 1.3.2 in conda.yaml, but to 1.4 in requirements.txt",)


def test_pins_under_different_markers_do_not_conflict() -> None:
    lines = "numpy==1.24 ; python_version < '3.9'\nnumpy==1.26 ; python_version >= '3.9'\n"

    assert read_environment(files(requirements=lines, mlmodel=MLMODEL)).reproducible


def test_an_unreadable_file_is_not_treated_as_absent() -> None:
    environment = read_environment({}, {"conda.yaml": "500 Internal Server Error"})

    assert "no environment file" not in environment.missing_pins
    assert "conda.yaml (not read)" in environment.missing_pins
    assert environment.problems == ("conda.yaml: 500 Internal Server Error",)


def test_an_unquoted_python_version_keeps_its_zero() -> None:
    assert read_environment(files(python_env="python: 3.10")).python_version == "3.10"


SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("line", "name", "specifier", "pinned"),
    [
        ("numpy", "numpy", "", False),
        ("Scikit_Learn==1.3.2  # a comment", "scikit-learn", "==1.3.2", True),
        ("numpy==1.*", "numpy", "==1.*", False),
        ("numpy===1.2-odd", "numpy", "===1.2-odd", True),
        ("numpy<3,>=2", "numpy", ">=2,<3", False),
        ("numpy~=1.2", "numpy", "~=1.2", False),
        ("uvicorn[standard]==0.1 ; python_version > '3'", "uvicorn", "==0.1", True),
        ("numpy==1.2 \\\n  --hash=sha256:" + "a" * 64, "numpy", "==1.2", True),
        ("numpy==1.2 --hash  sha256:" + "a" * 64, "numpy", "==1.2", True),
        ("numpy==1.2" + f" \\\n    --hash=sha256:{'a' * 64}" * 200, "numpy", "==1.2", True),
        ("a @ https://u:secret@x.org/a.zip?token=secret", "a", "@ https://x.org/a.zip", False),
        ("a @ https://x.org/a.zip#sha256=" + "a" * 64, "a", "@ https://x.org/a.zip", True),
        ("https://u:secret@x.org", "x-org", "@ https://x.org", False),
        (f"git+https://secret@x.org/g/a.git@{SHA}#egg=a", "a", f"@ git+https://x.org/g/a.git@{SHA}", True),
        ("git+https://x.org/g/a.git@main", "a", "@ git+https://x.org/g/a.git@main", False),
        ("-e git+ssh://git@x.org/a@" + SHA, "a", f"@ git+ssh://x.org/a@{SHA}", True),
        ("-e .", "local-path", "@ local path", False),
        ("./wheels/foo_bar-1.0-py3-none-any.whl", "foo-bar", "@ local path", False),
        (
            "https://x.org/foo_bar-1.0-py3-none-any.whl",
            "foo-bar",
            "@ https://x.org/foo_bar-1.0-py3-none-any.whl",
            False,
        ),
    ],
)
def test_a_requirement_line_is_parsed(line: str, name: str, specifier: str, pinned: bool) -> None:
    file = parse_requirements(line.encode(), "requirements.txt")

    assert [package.requirement for package in file.packages] == [
        Requirement(name, specifier, "requirements.txt", pinned)
    ]
    assert file.problems == []
    assert file.is_complete


@pytest.mark.parametrize(
    ("line", "problem", "in_full"),
    [
        ("--index-url https://u:secret@x.org/simple", "requirements.txt: line 2: --index-url is not followed", True),
        ("-ihttps://u:secret@x.org/simple", "requirements.txt: line 2: -i is not followed", True),
        ("-c constraints.txt", "requirements.txt: line 2: -c is not followed", True),
        ("token=secret !", "requirements.txt: line 2 is not a requirement", False),
        ("a==" + "9" * 4500, "requirements.txt: line 2 is longer than 4000 characters", False),
    ],
)
def test_a_problem_with_a_line_does_not_quote_the_line(line: str, problem: str, in_full: bool) -> None:
    file = parse_requirements(f"numpy==1\n{line}\n".encode(), "requirements.txt")

    assert file.problems == [problem]
    assert file.is_complete is in_full
    assert len(file.packages) == 1


def test_a_file_with_too_many_lines_is_truncated_with_a_problem() -> None:
    file = parse_requirements(b"a\n" * 100_000, "requirements.txt")

    assert len(file.packages) == MAX_PACKAGES
    assert "requirements.txt: more than 20000 lines" in file.problems
    assert not file.is_complete


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_requirements_are_decoded_as_by_pip(encoding: str) -> None:
    file = parse_requirements("numpy==1.2\n".encode(encoding), "requirements.txt")

    assert [package.requirement.specifier for package in file.packages] == ["==1.2"]


@pytest.mark.parametrize(
    ("spec", "name", "specifier", "pinned"),
    [
        ("numpy", "numpy", "", False),
        ("numpy=1.21.5", "numpy", "==1.21.5", True),
        ("numpy=1.21", "numpy", "==1.21.*", False),
        ("numpy=1.21.*", "numpy", "==1.21.*", False),
        ("numpy=*", "numpy", "", False),
        ("numpy==1.21", "numpy", "==1.21", True),
        ("numpy 1.21.5 py39_0", "numpy", "==1.21.5", True),
        ("conda-forge::numpy=1.21=py39h7a5d4dd_0", "numpy", "==1.21", True),
        ("numpy>=1", "numpy", ">=1", False),
        ("numpy >=1,<2", "numpy", ">=1,<2", False),
        ("tzdata==2021a", "tzdata", "==2021a", True),
    ],
)
def test_a_conda_dependency_is_parsed(spec: str, name: str, specifier: str, pinned: bool) -> None:
    environment = read_environment(files(conda=f"dependencies:\n- '{spec}'\n"))

    assert environment.packages == (Requirement(name, specifier, "conda.yaml", pinned),)
    assert environment.problems == ()


BOMB = "a: &a [x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (BOMB, "aliases"),
        ("a: &a [*a]", "aliases"),
        ("a: !!python/object/apply:os.system [id]", "tag"),
        ("a: !custom x", "tag"),
        ("a: " + "[" * 60 + "]" * 60, "deeper"),
        ("[" * 5000, "deeper"),
        ("a: [" + "x," * 60_000 + "]", "values"),
        ("x" * (MAX_FILE_BYTES + 1), "larger"),
        ("{[a]: b}", "key"),
        ("- a", "not a mapping"),
        ("a: b\n---\nc: d", "more than one"),
        ("a: [", "line"),
        ("a: \x01", "not text"),
    ],
)
@pytest.mark.parametrize("name", ["MLmodel", "conda.yaml", "python_env.yaml"])
def test_hostile_yaml_is_rejected_with_a_reason(name: str, document: str, reason: str) -> None:
    environment = read_environment({name: document.encode()})

    assert len(environment.problems) == 1
    assert reason in environment.problems[0]
    assert not environment.reproducible


def test_an_alias_written_by_pyyaml_is_resolved() -> None:
    document = "metadata: &id001 [1]\nagain: *id001\nmlflow_version: 2.9.2\n"

    assert read_environment(files(mlmodel=document)).mlflow_version == "2.9.2"


yaml_like = st.text(alphabet="ab:-[]{}&*!#'\"\\ \n=<>@;,|.1\0\t", max_size=200).map(str.encode)
document_like = st.builds(
    lambda key, text: key + text, st.sampled_from([b"dependencies:\n- ", b"flavors:\n  a: "]), yaml_like
)


@pytest.mark.parametrize("name", ENVIRONMENT_FILES)
@given(content=st.binary(max_size=300) | yaml_like | document_like)
def test_no_bytes_make_a_parser_raise(name: str, content: bytes) -> None:
    environment = read_environment({name: content})

    assert environment.reproducible is (environment.missing_pins == ())


@pytest.mark.skipif(not REGISTRIES.is_dir(), reason="the registries of strangers are not part of this repository")
def test_real_world_environments_are_parsed() -> None:
    folders = {path.parent for path in REGISTRIES.glob("**/artifacts/**/MLmodel")}
    assert folders
    for folder in folders:
        contents = {name: (folder / name).read_bytes() for name in ENVIRONMENT_FILES if (folder / name).is_file()}

        environment = read_environment(contents)

        assert environment.problems == (), folder
        assert environment.python_version, folder
        assert environment.flavors["sklearn"], folder
        assert environment.reproducible, (folder, environment.missing_pins)


@pytest.mark.parametrize(
    ("lines", "size", "signature"),
    [
        ("", None, None),
        ("model_size_bytes: many\nsignature: none\n", None, None),
        ("model_size_bytes: -1\nsignature: []\n", None, None),
        (f"model_size_bytes: {'9' * 30}\nsignature: {{}}\n", None, ()),
        ("signature: {inputs: null, outputs: '[]', params: '[{}]', more: x}\n", None, ("params",)),
    ],
)
def test_an_invalid_size_or_signature_is_ignored(
    lines: str, size: int | None, signature: tuple[str, ...] | None
) -> None:
    environment = read_environment(files(mlmodel="flavors: {}\n" + lines))

    assert (environment.model_size_bytes, environment.signature) == (size, signature)
