"""Manipulations of an exported file, in addition to the manipulations of the exported trail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

ExportEdit = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class ExportManipulation:
    """A manipulation of an export, and what ``tools/verify_audit_export.py`` says about it."""

    what: str
    edit: ExportEdit
    says: str
    exit_code: int


EXPORT_MANIPULATIONS: Final[list[ExportManipulation]] = []


def _manipulation(what: str, *, says: str, exit_code: int = 1) -> Callable[[ExportEdit], ExportEdit]:
    def register(edit: ExportEdit) -> ExportEdit:
        EXPORT_MANIPULATIONS.append(ExportManipulation(what, edit, says, exit_code))
        return edit

    return register


@_manipulation("lines end with CR LF", says="other line endings", exit_code=2)
def end_lines_with_cr_lf(export: bytes) -> bytes:
    return export.replace(b"\n", b"\r\n")


@_manipulation("the file begins with a byte order mark", says="another encoding", exit_code=2)
def begin_with_byte_order_mark(export: bytes) -> bytes:
    return b"\xef\xbb\xbf" + export


@_manipulation("the file is encoded as UTF-16", says="another encoding", exit_code=2)
def encode_as_utf_16(export: bytes) -> bytes:
    return export.decode().encode("utf-16")


@_manipulation("entries are written with other blanks", says="the hash of the entry before it does not match")
def write_json_otherwise(export: bytes) -> bytes:
    return _joined([json.dumps(json.loads(line)).encode() for line in export.splitlines()])


@_manipulation("a line is removed", says="this is not entry 4")
def remove_line(export: bytes) -> bytes:
    lines = export.splitlines()
    return _joined([*lines[:3], *lines[4:]])


@_manipulation("a line is repeated", says="this is not entry 5")
def repeat_line(export: bytes) -> bytes:
    lines = export.splitlines()
    return _joined([*lines[:4], *lines[3:]])


@_manipulation("the last checkpoint is repeated", says="matching checkpoints: 3", exit_code=0)
def repeat_last_checkpoint(export: bytes) -> bytes:
    return export + _joined(export.splitlines()[-1:])


@_manipulation(
    "the file is cut off within a line",
    says="download it again. If it ends there again, the export was cut off",
    exit_code=2,
)
def cut_off_in_line(export: bytes) -> bytes:
    return export[:-100]


@_manipulation("a line is added", says="it has no 'tenant_id'")
def add_line(export: bytes) -> bytes:
    return export + b"{}\n"


@_manipulation("the file is empty", says="If it has none again, all entries were removed")
def empty_file(_: bytes) -> bytes:
    return b""


@_manipulation("another tenant's entry is put first", says="is not evidence about 'acme'", exit_code=2)
def begin_with_entry_of_another_tenant(export: bytes) -> bytes:
    return export.replace(b'"tenant_id":"acme"', b'"tenant_id":"globex"', 1)


@_manipulation("the first line is made unreadable", says="does not begin with an entry", exit_code=2)
def make_first_line_unreadable(export: bytes) -> bytes:
    return b"x" + export


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
