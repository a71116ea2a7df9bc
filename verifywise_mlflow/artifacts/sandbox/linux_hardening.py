"""The steps by which a process gives up its rights on Linux. Each raises ``OSError`` if the kernel refuses it.

The steps use the kernel's own interface (prctl(2), capget(2), unshare(2), landlock(7)), because the existing packages
are early releases by single authors. These packages also contain rules and path handling, which an empty rule set does
not need.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 1, 4, 38, 39
_SIGKILL = 9
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""Landlock's system calls, which have the same numbers on every architecture."""
_RULES_ON_FILES = ((5, 0xFFFF), (3, 0x7FFF), (2, 0x3FFF), (1, 0x1FFF))
"""Landlock version, and the kinds of file access that this version can restrict. All of them are denied."""
_RULES_ON_TCP, _RULES_ON_SCOPE = 0x3, 0x3
"""Bind and connect (version 4); abstract sockets and signals to processes outside (version 6)."""


def check_result(result: int) -> int:
    """Return the result of a C library call.

    Raises:
        OSError: The call failed.
    """
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """Call prctl(2). Unused arguments must be zero."""
    return check_result(_LIBC.prctl(option, *map(ctypes.c_ulong, (argument, second, 0, 0))))


def _forbid_new_privileges() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError("new privileges can still be gained")


def _unshare_namespace(flag: int, name: str) -> None:
    here = Path("/proc/self/ns") / name
    before = here.stat().st_ino
    check_result(_LIBC.unshare(flag))
    if here.stat().st_ino == before:
        raise OSError("the namespace did not change")


def _change_to_empty_root() -> None:
    """Change the root to a kernel folder. It lists only this process's pipes, and nothing can be created in it."""
    os.chroot("/proc/self/fdinfo")
    os.chdir("/")
    if Path("/proc").exists():
        raise OSError("the root did not change")


def _drop_capabilities() -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    check_result(_LIBC.capset(header, bytes(24)))
    capabilities = ctypes.create_string_buffer(24)
    check_result(_LIBC.capget(header, capabilities))
    if any(capabilities.raw):
        raise OSError("some capabilities are left")


def _landlock(rules: bytes) -> None:
    ruleset = check_result(_LIBC.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0))
    try:
        check_result(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _landlock_version() -> int:
    return check_result(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _landlock_files() -> None:
    version = _landlock_version()
    _landlock(struct.pack("=Q", next(rights for since, rights in _RULES_ON_FILES if version >= since)))
    try:
        os.close(os.open("/", os.O_RDONLY))
    except PermissionError:
        return
    raise OSError("a folder can still be opened")


def _landlock_network() -> None:
    version = _landlock_version()
    if version < 4:
        raise OSError("this kernel's Landlock restricts files only")
    scope = struct.pack("=Q", _RULES_ON_SCOPE) if version >= 6 else b""
    _landlock(struct.pack("=QQ", 0, _RULES_ON_TCP) + scope)


STEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("no-new-privileges", _forbid_new_privileges),
    # Separate steps: without a profile, Ubuntu 24.04 grants the first step and refuses the others.
    ("user-namespace", lambda: _unshare_namespace(_CLONE_NEWUSER, "user")),
    ("network-namespace", lambda: _unshare_namespace(_CLONE_NEWNET, "net")),
    ("ipc-namespace", lambda: _unshare_namespace(_CLONE_NEWIPC, "ipc")),
    ("empty-root", _change_to_empty_root),
    ("no-capabilities", _drop_capabilities),
    # This step comes after the changes of capabilities, which would undo it.
    ("dies-with-parent", lambda: prctl(_PR_SET_PDEATHSIG, _SIGKILL)),
    ("not-dumpable", lambda: prctl(_PR_SET_DUMPABLE, 0)),
    ("landlock", _landlock_files),
    ("landlock-network", _landlock_network),
)
"""Ordered by dependency: a user namespace grants the capability to change the root."""
