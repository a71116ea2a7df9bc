"""The installed wheel is what the tests import: ``make release`` runs this module first.

Not part of ``make test``, which imports the checkout.
"""

from __future__ import annotations

import base64
import hashlib
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import verifywise_mlflow
from verifywise_mlflow.cli.version_option import editable_checkout
from verifywise_mlflow_tests.support.documentation import ROOT


def test_the_package_is_imported_from_the_environment() -> None:
    assert verifywise_mlflow.__file__
    assert Path(verifywise_mlflow.__file__).is_relative_to(sysconfig.get_path("purelib"))


def test_there_is_no_checkout_to_import_instead() -> None:
    assert (ROOT / "verifywise_mlflow_tests").is_dir()
    assert not (ROOT / "verifywise_mlflow").exists()
    assert not (ROOT / ".git").exists()


def test_the_installation_is_not_editable() -> None:
    assert editable_checkout(distribution("verifywise-mlflow").read_text("direct_url.json")) is None


def test_each_installed_file_is_the_one_in_the_wheel() -> None:
    recorded = [file for file in distribution("verifywise-mlflow").files or () if file.hash]

    assert any(file.suffix == ".sql" for file in recorded)
    for file in recorded:
        assert file.hash
        digest = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, file
