"""What passes between the product and the processes inside: frames of a kind, a length, and so many bytes."""

from __future__ import annotations

import struct

HEADER = struct.Struct("<BI")

DATA = 1
"""Inwards: more bytes of the file."""
END = 2
"""Inwards: that was all, answer now."""
ABANDON = 3
"""Inwards: forget what came since the last ``END``."""
FILE = 4
"""Inwards: the name of an environment file, whose bytes follow."""
UNREADABLE = 5
"""Inwards: the name of one that could not be had, a NUL, and why."""
READY = 6
"""Outwards, once and before anything untrusted is read: the words of what is in force, a line feed, what is refused."""
ANSWER = 7
"""Outwards: what was asked for."""

MAX_INWARD_BYTES = 1024 * 1024
"""Of one frame. The product cuts longer chunks."""

OUT_OF_MEMORY = 77
"""Exit status of a process that reached its bound on memory and noticed."""
