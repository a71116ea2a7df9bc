"""Free ports on 127.0.0.1."""

from __future__ import annotations

import socket


def free_port(preferred: int | None = None) -> int:
    """Return a free port: the preferred one if possible, so that bookmarks stay valid.

    Another process may take the port before it is used, so the caller checks that its server got the port.
    """
    for candidate in (0,) if preferred is None else (preferred, 0):
        with socket.socket() as probe:
            # Servers set this option, too. With it, a port whose last connections are still closing counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")
