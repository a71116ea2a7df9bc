from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.http.errors import InvalidResponseError

VERSION: dict[str, object] = {"name": "churn", "version": "3", "source": "s3://b/m", "status": "READY"}
MODEL: dict[str, object] = {"name": "churn"}


def test_a_version_is_read_as_mlflow_writes_it() -> None:
    row = {
        **VERSION,
        "creation_timestamp": 1_700_000_000_123,
        "current_stage": "Production",
        "description": "",
        "run_id": "",
        "tags": [{"key": "owner", "value": "ann"}, {"key": "empty"}],
    }

    version = parsing.model_version(row)

    assert (version.model_name, version.version_number, version.stage) == ("churn", 3, "Production")
    assert version.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert (version.description, version.run_id) == (None, None)
    assert version.tags == {"owner": "ann", "empty": ""}
    assert version.problems == ()


@pytest.mark.parametrize("stage", ["None", "", None])
def test_no_stage_is_none_however_mlflow_says_it(stage: str | None) -> None:
    assert parsing.model_version({**VERSION, "current_stage": stage}).stage is None


@pytest.mark.parametrize(
    ("version", "number"),
    [(1, 1), ("1", 1), ("007", 7), (2**31 - 1, 2**31 - 1), (str(2**31 - 1), 2**31 - 1)],
)
def test_a_versions_number_may_come_as_a_number_or_a_string(version: object, number: int) -> None:
    assert parsing.model_version({**VERSION, "version": version}).version_number == number


@pytest.mark.parametrize(
    "version",
    [None, "", "one", 0, -1, "-1", True, 1.0, "1.0", " 1", "1_0", "١", 2**31, str(2**31), "9" * 5_000, [1], {"a": 1}],
)
def test_a_row_without_a_usable_version_number_is_refused(version: object) -> None:
    with pytest.raises(InvalidResponseError, match="no usable version"):
        parsing.model_version({**VERSION, "version": version})


@pytest.mark.parametrize("name", [None, "", [], {}, True])
def test_a_model_without_a_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidResponseError, match="no name"):
        parsing.registered_model({"name": name})


@pytest.mark.parametrize("row", [None, [], "churn", 3])
def test_a_row_that_is_not_an_object_is_refused_with_its_type(row: object) -> None:
    with pytest.raises(InvalidResponseError, match=type(row).__name__):
        parsing.registered_model(row)


TIMES = [
    (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ("1700000000123", datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)),
    (-1, datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    (253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
]


@pytest.mark.parametrize(("raw", "time"), TIMES)
def test_a_time_is_milliseconds_in_utc(raw: object, time: datetime) -> None:
    version = parsing.model_version({**VERSION, "creation_timestamp": raw})

    assert version.created_at == time
    assert version.problems == ()


@pytest.mark.parametrize(
    "raw",
    [253_402_300_800_000, 10**30, -(10**30), "soon", "1_700", " 1", 1.7e12, math.nan, True, [1], {"a": 1}, "9" * 5_000],
)
def test_an_invalid_time_is_a_problem_and_the_other_fields_are_read(raw: object) -> None:
    version = parsing.model_version({**VERSION, "creation_timestamp": raw})

    assert version.created_at is None
    assert version.source == "s3://b/m"
    (problem,) = version.problems
    assert problem.startswith("creation_timestamp could not be used: ")
    assert len(problem) < 130


@pytest.mark.parametrize(
    ("tags", "expected", "problems"),
    [
        (None, {}, 0),
        ([], {}, 0),
        ([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}], {"a": "2"}, 0),
        ([{"key": "", "value": ""}], {"": ""}, 0),
        ([{"key": "a\ud800", "value": "\x00"}], {"a\ud800": "\x00"}, 0),
        ([{"key": "a", "value": 1}, {"key": "b", "value": "2"}], {"b": "2"}, 1),
        ([{"key": "a", "value": None}, {"key": "b", "value": "2"}], {"b": "2"}, 1),
        ([{"value": "1"}, {"key": "b", "value": "2"}], {"b": "2"}, 1),
        ([None, "a", 3, {"key": "b", "value": "2"}], {"b": "2"}, 3),
        ({"key": "a", "value": "1"}, {}, 1),
        ("a=1", {}, 1),
    ],
)
def test_tags_of_wrong_types_are_problems_and_the_others_are_read(
    tags: object, expected: dict[str, str], problems: int
) -> None:
    model = parsing.registered_model({**MODEL, "tags": tags})

    assert model.tags == expected
    assert len(model.problems) == problems
    assert all("tags could not be used" in problem for problem in model.problems)


def test_the_last_of_two_equal_json_keys_counts() -> None:
    row = json.loads('{"name": "a", "name": "b", "tags": 1, "tags": [{"key": "k", "value": "1", "value": "2"}]}')

    model = parsing.registered_model(row)

    assert (model.name, model.tags, model.problems) == ("b", {"k": "2"}, ())


@pytest.mark.parametrize("version", [None, "latest", -1, True, 2**31])
def test_an_invalid_alias_is_a_problem_and_the_others_are_read(version: object) -> None:
    aliases = [{"alias": "champion", "version": version}, {"alias": "challenger", "version": "2"}, {"version": "1"}]

    model = parsing.registered_model({**MODEL, "aliases": aliases})

    assert model.aliases == {"challenger": 2}
    assert len(model.problems) == 2


def run_row(data: object = None, **other: object) -> dict[str, object]:
    return {"info": {"run_id": "r1", "experiment_id": 3, "status": "FINISHED"}, "data": data, **other}


def test_metrics_that_are_not_finite_are_read() -> None:
    metrics = [{"key": "a", "value": "NaN"}, {"key": "b", "value": "Infinity"}, {"key": "c", "value": 1.797e308}]

    run = parsing.training_run(run_row({"metrics": [*metrics, {"key": "d"}]}))

    assert math.isnan(run.metrics["a"])
    assert run.metrics["b"] == math.inf
    assert run.metrics["c"] == 1.797e308
    assert run.metrics["d"] == 0.0
    assert run.problems == ()


@pytest.mark.parametrize("value", [None, "high", True, [], {}, 10**400])
def test_a_metric_that_is_not_a_number_is_a_problem_and_the_others_are_read(value: object) -> None:
    run = parsing.training_run(run_row({"metrics": [{"key": "auc", "value": value}, {"key": "f1", "value": 1}]}))

    assert run.metrics == {"f1": 1.0}
    assert len(run.problems) == 1
    assert run.problems[0].startswith("metric auc could not be used")


@pytest.mark.parametrize("key", [None, 3, ["auc"]])
def test_a_metric_without_a_name_is_a_problem(key: object) -> None:
    run = parsing.training_run(run_row({"metrics": [{"key": key, "value": 1.0}]}))

    assert run.metrics == {}
    assert len(run.problems) == 1


def test_a_run_lists_the_problems_of_all_its_parts() -> None:
    row = run_row(
        data={"params": 3},
        inputs={"dataset_inputs": [{"dataset": {"name": ["x"], "digest": "d"}, "tags": 1}, {"dataset": 3}]},
        outputs={"model_outputs": [{"model_id": []}, {"model_id": "m-1"}]},
    )

    run = parsing.training_run(row)

    assert run.experiment_id == "3"
    assert [dataset.digest for dataset in run.datasets] == ["d", None]
    assert run.logged_model_ids == ("m-1",)
    text = " ".join(run.problems)
    assert [
        part_name for part_name in ("params", "name", "tags", "dataset", "model_id") if f"{part_name} could" not in text
    ] == []


def test_an_old_servers_run_uuid_is_read_as_the_run_id() -> None:
    assert parsing.training_run({"info": {"run_uuid": "r0"}}).run_id == "r0"


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ({"path": "a", "is_dir": False, "file_size": "12"}, 12),
        ({"path": "a", "is_dir": False}, 0),
        ({"path": "a", "is_dir": True}, None),
        ({"path": "a", "file_size": 2**62}, 2**62),
    ],
)
def test_an_entry_without_a_size_is_a_directory_or_empty(entry: dict[str, object], size: int | None) -> None:
    assert parsing.remote_file(entry).size == size


@pytest.mark.parametrize("size", [-1, "-1", "big", None, 2**63])
def test_a_file_with_an_invalid_size_is_refused(size: object) -> None:
    with pytest.raises(InvalidResponseError, match="file_size"):
        parsing.remote_file({"path": "a", "file_size": size})


def test_unusable_rows_are_problems_and_the_others_are_read() -> None:
    rows = [{"name": "a"}, {}, 3, {"name": "b"}]

    models, problems = parsing.parse_rows(rows, parsing.registered_model, "models")

    assert [model.name for model in models] == ["a", "b"]
    assert list(problems) == [
        "models: a row of the response has no name",
        "models: a row of the response is int, not an object",
    ]


@pytest.mark.parametrize("rows", [{"name": "a"}, "abc", 3, True])
def test_rows_that_are_not_a_list_are_a_problem(rows: object) -> None:
    models, problems = parsing.parse_rows(rows, parsing.registered_model, "models")

    assert models == []
    assert len(problems) == 1


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "x"]), inner),
    max_leaves=8,
)
FIELDS = (
    "name version model_id run_id info data inputs outputs tags aliases alias metrics params dataset dataset_inputs "
    "model_outputs creation_timestamp start_time creation_timestamp_ms current_stage source deployment_job_state path "
    "is_dir file_size experiment_id status"
)
any_row = st.dictionaries(
    st.sampled_from(FIELDS.split()), any_json | st.dictionaries(st.sampled_from(FIELDS.split()), any_json), max_size=10
)


PARSERS = (
    parsing.registered_model,
    parsing.model_version,
    parsing.training_run,
    parsing.experiment,
    parsing.logged_model,
    parsing.remote_file,
)


@given(row=any_row | any_json)
def test_any_row_is_either_parsed_or_refused_as_invalid(row: object) -> None:
    """Each row goes through every parser: generating a row takes ten times as long as parsing it."""
    for parse in PARSERS:
        _, problems = parsing.parse_rows([row], parse, "rows")
        entity = None if problems else parse(row)

        assert all(problem.startswith("rows: a row of the response") for problem in problems), parse
        assert all(len(problem) < 300 and problem.isascii() for problem in getattr(entity, "problems", ())), parse


def test_no_text_is_cut_before_it_is_redacted() -> None:
    """The rest of a secret that was cut might not be recognized as a secret."""
    secret = "postgresql://ml:" + "x" * 300 + "@db/ml"
    run = parsing.training_run(run_row({"metrics": [{"key": "auc", "value": secret}, {"key": secret, "value": []}]}))
    version = parsing.model_version({"name": "m", "version": "1", "creation_timestamp": secret})

    assert "xxx" not in " ".join([*run.problems, *version.problems])
