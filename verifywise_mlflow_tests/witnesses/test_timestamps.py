"""Time-stamp tokens of a real authority (OpenSSL), and data that must not count as such a token."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rfc3161_client import decode_timestamp_response

from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.witnesses.timestamp_authority import TimestampAuthority
from verifywise_mlflow.witnesses.timestamp_token import InvalidTokenError, load_roots, verify_token
from verifywise_mlflow.witnesses.witness import WitnessError
from verifywise_mlflow_tests.witnesses.checkpoints import chain, stamped
from verifywise_mlflow_tests.witnesses.timestamp_server import TimestampServer, make_authority, timestamp_server

CHECKPOINT = stamped(chain()[2])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampServer]:
    with timestamp_server(tmp_path_factory.mktemp("authority")) as server:
        yield server


@pytest.fixture
def authority(server: TimestampServer) -> Iterator[TimestampAuthority]:
    yield TimestampAuthority(name="tsa", url=server.url, roots=server.root, allow_private_network=True)
    server.respond = server.reply


@pytest.fixture
def token(authority: TimestampAuthority) -> bytes:
    return b64decode(authority.store("acme", CHECKPOINT)["timestamp_token"])


def test_a_token_proves_when_the_checkpoint_existed(server: TimestampServer, token: bytes) -> None:
    existed_at = verify_token(token, CHECKPOINT.stamped_line, load_roots(server.root))

    assert abs(datetime.now(UTC) - existed_at) < timedelta(minutes=1)
    assert CHECKPOINT.stamped_line not in server.queries[-1], "the authority sees a hash only"


def test_openssl_verifies_the_token_without_this_product(server: TimestampServer, token: bytes, tmp_path: Path) -> None:
    (tmp_path / "token.der").write_bytes(token)
    (tmp_path / "line").write_bytes(CHECKPOINT.stamped_line)
    files = ("-in", tmp_path / "token.der", "-data", tmp_path / "line", "-CAfile", server.root)

    verified = subprocess.run(["openssl", "ts", "-verify", "-token_in", *files], check=False, capture_output=True)

    assert verified.returncode == 0, verified.stderr


def test_certificates_in_the_order_of_openssl_are_accepted(
    server: TimestampServer, authority: TimestampAuthority
) -> None:
    authority.store("acme", CHECKPOINT)

    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        decode_timestamp_response((server.folder / "reply.tsr").read_bytes())


def test_a_token_proves_nothing_about_another_checkpoint(server: TimestampServer, token: bytes) -> None:
    with pytest.raises(InvalidTokenError, match="not valid"):
        verify_token(token, stamped(chain()[1]).stamped_line, load_roots(server.root))


def test_a_token_of_a_stranger_is_refused(token: bytes, tmp_path: Path) -> None:
    make_authority(tmp_path)

    with pytest.raises(InvalidTokenError, match="not valid"):
        verify_token(token, CHECKPOINT.stamped_line, load_roots(tmp_path / "root.pem"))


def test_a_changed_token_is_refused(server: TimestampServer, token: bytes) -> None:
    roots = load_roots(server.root)
    for position in range(0, len(token), 7):
        changed = token[:position] + bytes((token[position] ^ 1,)) + token[position + 1 :]
        try:
            existed_at = verify_token(changed, CHECKPOINT.stamped_line, roots)
        except InvalidTokenError:
            continue
        # Bytes that no signature covers, such as the bytes that state the certificate's position in the list.
        assert existed_at == verify_token(token, CHECKPOINT.stamped_line, roots)


def test_a_response_to_another_request_is_refused(server: TimestampServer, authority: TimestampAuthority) -> None:
    authority.store("acme", CHECKPOINT)
    earlier = server.queries[-1]
    server.respond = lambda _: server.reply(earlier)

    with pytest.raises(WitnessError, match="Nonce mismatch"):
        authority.store("acme", CHECKPOINT)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, b"", "it is not a time-stamp token"),
        (200, b"<html>", "it is not a time-stamp token"),
        (200, bytes.fromhex("30053003020102"), "granted no token"),
        (403, b"", "the witness tsa responded with 403"),
    ],
)
def test_an_authority_that_grants_no_token_is_named(
    server: TimestampServer, authority: TimestampAuthority, status: int, body: bytes, sentence: str
) -> None:
    server.respond = lambda _: (status, body)

    with pytest.raises((WitnessError, HttpError), match=sentence):
        authority.store("acme", CHECKPOINT)


def test_a_file_without_a_root_certificate_is_named(authority: TimestampAuthority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")

    with pytest.raises(WitnessError, match=r"empty\.pem has no certificate in PEM"):
        authority.model_copy(update={"roots": tmp_path / "empty.pem"}).store("acme", CHECKPOINT)
