"""``verifywise-mlflow audit new-key``, ``public-key`` and ``rotate-key``: the keys that sign checkpoints."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.audit.keys import PublicKey, Signer, SigningKey
from verifywise_mlflow.cli.audit_trail import TrailOf, open_trail, refuse_unknown
from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, err, fail, fail_to_write, print_json
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE, change_key, signing_key


def new_key(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to create. It must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Create a private key that only its owner can read, and print the public key for auditors."""
    key = SigningKey.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(key.pem())
    except FileExistsError:
        fail(f"cannot write {path}: it exists, and keys are never overwritten: name another file", MISUSED, as_json)
    except OSError as error:
        fail_to_write(path, error, as_json)
    if as_json:
        print_json({"private_key": str(path), "public_key": key.public.pem(), "key_id": key.key_id})
    else:
        _print_public_key(key.public)


def public_key() -> None:
    """Print the public key of the signing key for auditors, wherever the private key is."""
    with exit_on_errors(as_json=False):
        _print_public_key(require_signing_key().public)


def _print_public_key(key: PublicKey) -> None:
    """Print the key to standard output, for a file, and the key's hash to standard error, for people."""
    sys.stdout.write(key.pem())
    err.print(f"The hash of the key, by which all commands and scripts name it: {key.key_id}", soft_wrap=True)


def rotate_key(
    tenant: TrailOf,
    previous_key_lost: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Why the previous key cannot sign any more. Verifiers then need the new key, too."
        ),
    ] = None,
) -> None:
    """Record in a tenant's trail that another key signs from now on, and print the checkpoints over that entry.

    VERIFYWISE_AUDIT_SIGNING_KEY refers to the new key, VERIFYWISE_AUDIT_PREVIOUS_SIGNING_KEY to the previous one. The
    previous key vouches for the new key, so verifiers who trust the previous key need no other. If both variables are
    set, each sync does the same.
    """
    with exit_on_errors(as_json=False):
        key = require_signing_key()
        with open_trail(tenant) as session:
            refuse_unknown(session, as_json=False)
            checkpoints = change_key(session, key, datetime.now(UTC), previous_key_lost)
    if not checkpoints:
        fail(f"the trail of {tenant!r} is already signed with this key, or not signed yet", FAILED, as_json=False)
    for item in checkpoints:
        sys.stdout.write(item.to_json_line() + "\n")


def require_signing_key() -> Signer:
    """Return the signing key, or exit if none is configured."""
    key = signing_key()
    if key is None:
        fail(
            f"set {SIGNING_KEY_VARIABLE} to a reference to the signing key; audit new-key creates one",
            MISUSED,
            as_json=False,
        )
    return key
