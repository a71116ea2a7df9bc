"""A webhook and a mail server that record what they receive."""

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
    """The recorded posts and the configured response."""

    url: str = ""
    status: int = 200
    hangs: float = 0.0
    posted: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve a webhook."""
    received = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.posted.append(json.loads(self.rfile.read(length)))
            received.headers.append(dict(self.headers))
            time.sleep(received.hangs)
            self.send_response(received.status)
            self.send_header("Location", f"{received.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield received
        server.shutdown()
        thread.join()


@dataclass
class MailServer:
    """The recorded mail and its session."""

    port: int = 0
    is_encrypted: bool = False
    login: str = ""
    recipients: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


@contextmanager
def mail_server(tls: ssl.SSLContext | None) -> Iterator[MailServer]:
    """Serve one SMTP connection: STARTTLS if ``tls`` is given, AUTH PLAIN, one message."""
    received = MailServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        received.port = listener.getsockname()[1]
        thread = threading.Thread(target=_serve_connection, args=(listener, tls, received))
        thread.start()
        yield received
        listener.close()
        thread.join()


def _serve_connection(listener: socket.socket, tls: ssl.SSLContext | None, received: MailServer) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return
    with connection:
        try:
            _serve_session(connection, tls, received)
        except OSError:
            return  # a client that rejects the certificate hangs up


def _serve_session(connection: socket.socket, tls: ssl.SSLContext | None, received: MailServer) -> None:
    connection.settimeout(60)
    lines = connection.makefile("rb")
    connection.sendall(b"220 ready\r\n")
    while line := lines.readline():
        verb, _, argument = line.decode().strip().partition(" ")
        response = "250 OK"
        match verb.upper():
            case "EHLO":
                extensions = ["127.0.0.1", *(["STARTTLS"] if tls and not received.is_encrypted else []), "AUTH PLAIN"]
                response = "\r\n".join([*(f"250-{offer}" for offer in extensions[:-1]), f"250 {extensions[-1]}"])
            case "STARTTLS" if tls:
                connection.sendall(b"220 go ahead\r\n")
                connection = tls.wrap_socket(connection, server_side=True)
                lines, received.is_encrypted = connection.makefile("rb"), True
                continue
            case "AUTH":
                received.login = b64decode(argument.split()[1]).decode()
                response = "235 welcome"
            case "RCPT":
                received.recipients.append(argument)
            case "DATA":
                connection.sendall(b"354 end with a dot\r\n")
                body = b""
                while (part := lines.readline()) != b".\r\n":
                    body += part
                received.messages.append(body)
            case "QUIT":
                connection.sendall(b"221 bye\r\n")
                return
        connection.sendall(f"{response}\r\n".encode())
