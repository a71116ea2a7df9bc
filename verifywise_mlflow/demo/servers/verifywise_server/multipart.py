"""Reads ``multipart/form-data`` (RFC 7578) with the standard library's parser of e-mail, which has the same form."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP

from verifywise_mlflow.demo.servers.verifywise_server.messages import ReceivedRequest, RefusedError


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a form."""

    filename: str
    media_type: str
    content: bytes


def read_form(request: ReceivedRequest) -> tuple[dict[str, str], dict[str, UploadedFile]]:
    """Return the text fields and the files of a form by their names."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise RefusedError(400, "No file provided")
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    fields: dict[str, str] = {}
    files: dict[str, UploadedFile] = {}
    for part in message.iter_parts():
        name, filename = part.get_param("name", header="content-disposition"), part.get_filename()
        payload = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(payload, bytes):
            raise RefusedError(400, "Malformed part header")
        if filename is None:
            fields[name] = payload.decode()
        else:
            files[name] = UploadedFile(filename, part.get_content_type(), payload)
    return fields, files
