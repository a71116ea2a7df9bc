"""A SoftHSM token with an Ed25519 key: a real PKCS#11 library, as an HSM's vendor supplies one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
_ED25519 = bytes.fromhex("06032b6570")  # the OID 1.3.101.112 in DER


def create_token(folder: Path, label: str, pin: str) -> None:
    """Create a token with two key pairs: ``signing`` (Ed25519) and ``rsa``.

    The variable ``SOFTHSM2_CONF`` must name the file ``softhsm2.conf`` in ``folder``. In CI, SoftHSM must be installed;
    elsewhere, the test is skipped without it.
    """
    if not LIBRARY.exists() or not shutil.which("softhsm2-util"):
        if os.environ.get("CI"):
            pytest.fail("SoftHSM is missing: apt-get install softhsm2")
        pytest.skip("SoftHSM is missing: apt-get install softhsm2")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "5678", "--pin", pin],
        check=True,
        capture_output=True,
    )
    import pkcs11

    with pkcs11.lib(str(LIBRARY)).get_token(token_label=label).open(user_pin=pin, rw=True) as session:
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: _ED25519}, local=True
        )
        parameters.generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label="signing", id=b"\x01"
        )
        session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label="rsa", id=b"\x02")
