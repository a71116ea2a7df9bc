"""The audit trail names the account that the kernel states, not the account in a variable."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from verifywise_mlflow.common import os_user

OWN = pwd.getpwuid(os.geteuid()).pw_name
OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.geteuid())


@pytest.mark.parametrize(
    ("login_uid", "expected"),
    [
        (None, OWN),
        ("4294967295", OWN),  # a service
        (str(os.geteuid()), OWN),
        (str(OTHER.pw_uid), f"{OWN} (login {OTHER.pw_name})"),  # under sudo
        ("1000650001", f"{OWN} (login uid 1000650001)"),  # without a name
        ("not a number", OWN),
    ],
)
def test_the_user_is_the_account_and_who_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login_uid: str | None, expected: str
) -> None:
    file = tmp_path / "loginuid"
    if login_uid is not None:
        file.write_text(login_uid)
    monkeypatch.setattr(os_user, "_LOGIN_UID_FILE", file)
    for variable in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(variable, "mallory")

    assert os_user.operating_system_user.__wrapped__() == expected
