"""A folder as a witness: it has a file per tenant, to which checkpoints are appended as lines of JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from verifywise_mlflow.audit.checkpoint import Checkpoint, CheckpointClaim, InvalidCheckpointError, parse_claim
from verifywise_mlflow.tenants.validators import AbsolutePath
from verifywise_mlflow.witnesses.reading import checkpoints_in, stamped_checkpoints_in
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint
from verifywise_mlflow.witnesses.witness import Receipt, WitnessError, WitnessSettings

_TAIL_BYTES: Final = 64 * 1024
"""The number of bytes at the file's end that are read to find the last line. A line with a time-stamp token is
shorter."""


class FolderWitness(WitnessSettings):
    """A folder of this machine or a mounted share, preferably one in which this account can append but not change."""

    kind: Literal["folder"] = "folder"
    directory: AbsolutePath

    def store(self, tenant_id: str, stamped: StampedCheckpoint) -> Receipt:
        """Append a line to the tenant's file, and wait until it is on the disk.

        A checkpoint that contradicts the last one is refused: the trail was cut off or rewritten meanwhile.
        """
        path = self.directory / f"{tenant_id}.jsonl"
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            try:
                tail = _tail(file)
                _refuse_contradiction(path, tail, stamped)
                # If an earlier write was incomplete, such as on a full disk, this line must not continue the incomplete
                # line.
                separator = b"" if tail.endswith(b"\n") or not tail else b"\n"
                line = b"%b%b\n" % (separator, stamped.to_json_line().encode("ascii"))
                if os.write(file, line) != len(line):
                    raise WitnessError(f"only a part of the checkpoint was written to {path}: the disk is full")
                os.fsync(file)
            finally:
                os.close(file)
            if not tail:
                _sync_directory(self.directory)
        except OSError as error:
            raise WitnessError(f"the checkpoint cannot be written to {path}: {error.strerror}") from None
        return {"path": str(path)}

    def checkpoints(self, tenant_id: str) -> list[Checkpoint]:
        """Return the checkpoints of a tenant in the folder; an empty list without a file of the tenant.

        Raises:
            WitnessError: The file cannot be read, or a line is not a checkpoint.
        """
        path = self.directory / f"{tenant_id}.jsonl"
        try:
            return checkpoints_in(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, InvalidCheckpointError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise WitnessError(f"the checkpoints in {path} cannot be read: {reason}") from None


def _tail(file: int) -> bytes:
    size = os.fstat(file).st_size
    return os.pread(file, _TAIL_BYTES, max(size - _TAIL_BYTES, 0))


def _refuse_contradiction(path: Path, tail: bytes, stamped: StampedCheckpoint) -> None:
    last, claim = _last_claim(tail), parse_claim(stamped.checkpoint)
    if last is None or last.sequence < claim.sequence:
        return
    if (last.sequence, last.entry_hash) == (claim.sequence, claim.entry_hash):
        return
    raise WitnessError(
        f"{path} has a checkpoint of entry {last.sequence:,}, signed at {last.signed_at}, which contradicts that of "
        f"entry {claim.sequence:,}: entries were cut off or rewritten, or a backup was restored. Run verifywise-mlflow "
        f"audit verify {claim.tenant_id} --checkpoint {path}. Move the file away only if a restore explains it"
    )


def _last_claim(tail: bytes) -> CheckpointClaim | None:
    last_line = tail.rstrip(b"\n").rpartition(b"\n")[2]
    try:
        stamped = stamped_checkpoints_in(last_line.decode("ascii", "replace"))
        return parse_claim(stamped[0].checkpoint) if stamped else None
    except InvalidCheckpointError:  # the line of an incomplete write
        return None


def _sync_directory(directory: Path) -> None:
    """Make a new file's name survive a crash."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
