"""The operating system's account that runs this process."""

from __future__ import annotations

import os
import pwd
from functools import cache
from pathlib import Path
from typing import Final

_LOGIN_UID_FILE: Final = Path("/proc/self/loginuid")
"""The account that logged in. The kernel sets it once per login and keeps it under sudo and su."""
_NO_LOGIN: Final = 2**32 - 1


@cache
def operating_system_user() -> str:
    """Return the account of this process, and the account that logged in if this is another one: ``root (login ada)``.

    The kernel names both accounts. The variables ``USER`` and ``SUDO_USER`` are ignored, because anybody may set them.
    """
    account, login = os.geteuid(), _login_uid()
    return _name_of(account) + (f" (login {_name_of(login)})" if login not in (None, account) else "")


def _login_uid() -> int | None:
    """Return the account that logged in; None for a service, and if the kernel does not state the account."""
    try:
        uid = int(_LOGIN_UID_FILE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if uid == _NO_LOGIN else uid


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:  # a container may run under a user ID without a name
        return f"uid {uid}"
