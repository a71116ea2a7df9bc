"""What Linux offers to a process that wants to give up its rights: each step raises ``OSError`` where it is refused.

Written against the kernel's own interface (prctl(2), capget(2), unshare(2), landlock(7)) because the packages made for
it are early releases of one author each, and bring rules and path handling that an empty rule set does not need.
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
"""System calls of Landlock, of the same number on every architecture."""
_RULES_ON_FILES = ((5, 0xFFFF), (3, 0x7FFF), (2, 0x3FFF), (1, 0x1FFF))
"""From which version of Landlock on, which kinds of access exist; none of them is allowed."""
_RULES_ON_TCP, _RULES_ON_SCOPE = 0x3, 0x3
"""Bind and connect (version 4); abstract sockets and signals to processes outside (version 6)."""


def checked(result: int) -> int:
    """Give a call's result.

    Raises:
        OSError: the call failed.
    """
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """Call prctl(2); the arguments that are not given have to be zero."""
    return checked(_LIBC.prctl(option, *map(ctypes.c_ulong, (argument, second, 0, 0))))


def _gain_no_privileges() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError("still to be gained")


def _leave(flag: int, name: str) -> None:
    here = Path("/proc/self/ns") / name
    before = here.stat().st_ino
    checked(_LIBC.unshare(flag))
    if here.stat().st_ino == before:
        raise OSError("the namespace is the same")


def _live_in_an_empty_root() -> None:
    """A folder of the kernel's that lists this process's three pipes: nothing else can be named, nothing be made."""
    os.chroot("/proc/self/fdinfo")
    os.chdir("/")
    if Path("/proc").exists():
        raise OSError("the root is the same")


def _drop_capabilities() -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    checked(_LIBC.capset(header, bytes(24)))
    left = ctypes.create_string_buffer(24)
    checked(_LIBC.capget(header, left))
    if any(left.raw):
        raise OSError("some are left")


def _landlock(rules: bytes) -> None:
    ruleset = checked(_LIBC.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0))
    try:
        checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _landlock_version() -> int:
    return checked(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


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
        raise OSError("this kernel's Landlock knows files only")
    scope = struct.pack("=Q", _RULES_ON_SCOPE) if version >= 6 else b""
    _landlock(struct.pack("=QQ", 0, _RULES_ON_TCP) + scope)


STEPS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("no-new-privileges", _gain_no_privileges),
    # One by one: Ubuntu 24.04 grants the first and, without a profile for it, none of the others.
    ("user-namespace", lambda: _leave(_CLONE_NEWUSER, "user")),
    ("network-namespace", lambda: _leave(_CLONE_NEWNET, "net")),
    ("ipc-namespace", lambda: _leave(_CLONE_NEWIPC, "ipc")),
    ("empty-root", _live_in_an_empty_root),
    ("no-capabilities", _drop_capabilities),
    # A change of capabilities takes this back, so it comes after.
    ("dies-with-parent", lambda: prctl(_PR_SET_PDEATHSIG, _SIGKILL)),
    ("not-dumpable", lambda: prctl(_PR_SET_DUMPABLE, 0)),
    ("landlock", _landlock_files),
    ("landlock-network", _landlock_network),
)
"""In an order in which none stands in another's way: namespaces give the capability to change the root."""
