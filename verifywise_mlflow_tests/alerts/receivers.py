"""A webhook and a mail server that take down what they get."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Webhook:
    """What was posted; and what is answered."""

    url: str = ""
    status: int = 200
    hangs: float = 0.0
    posted: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve a webhook."""
    taken = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            taken.posted.append(json.loads(self.rfile.read(length)))
            taken.headers.append(dict(self.headers))
            time.sleep(taken.hangs)
            self.send_response(taken.status)
            self.send_header("Location", f"{taken.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield taken
        server.shutdown()
        thread.join()


@dataclass
class MailServer:
    """What mail was taken, and how."""

    port: int = 0
    is_encrypted: bool = False
    login: str = ""
    recipients: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


@contextmanager
def mail_server(tls: ssl.SSLContext | None) -> Iterator[MailServer]:
    """Take one connection, in SMTP: STARTTLS if there is something to do it with, AUTH PLAIN, one message."""
    taken = MailServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        taken.port = listener.getsockname()[1]
        thread = threading.Thread(target=_one_connection, args=(listener, tls, taken))
        thread.start()
        yield taken
        listener.close()
        thread.join()


def _one_connection(listener: socket.socket, tls: ssl.SSLContext | None, taken: MailServer) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    with connection:
        try:
            _converse(connection, tls, taken)
        except OSError:
            return  # a client that does not like our certificate hangs up


def _converse(connection: socket.socket, tls: ssl.SSLContext | None, taken: MailServer) -> None:
    connection.settimeout(60)
    lines = connection.makefile("rb")
    connection.sendall(b"220 ready\r\n")
    while line := lines.readline():
        verb, _, rest = line.decode().strip().partition(" ")
        answer = "250 OK"
        match verb.upper():
            case "EHLO":
                offers = ["127.0.0.1", *(["STARTTLS"] if tls and not taken.is_encrypted else []), "AUTH PLAIN"]
                answer = "\r\n".join([*(f"250-{one}" for one in offers[:-1]), f"250 {offers[-1]}"])
            case "STARTTLS" if tls:
                connection.sendall(b"220 go ahead\r\n")
                connection = tls.wrap_socket(connection, server_side=True)
                lines, taken.is_encrypted = connection.makefile("rb"), True
                continue
            case "AUTH":
                taken.login = b64decode(rest.split()[1]).decode()
                answer = "235 welcome"
            case "RCPT":
                taken.recipients.append(rest)
            case "DATA":
                connection.sendall(b"354 end with a dot\r\n")
                body = b""
                while (part := lines.readline()) != b".\r\n":
                    body += part
                taken.messages.append(body)
            case "QUIT":
                connection.sendall(b"221 bye\r\n")
                return
        connection.sendall(f"{answer}\r\n".encode())
