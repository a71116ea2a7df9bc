"""TLS contexts: which certificate authorities are trusted, how strictly, and which client certificate is shown.

Strict verification (RFC 5280 to the letter) is the default on every Python version. It is Python's own default since
3.13, so a customer's other tools also apply it. A new interpreter must not change which servers we trust. Certificates
of older private authorities often lack a required extension: an authority made by plain ``openssl req -x509`` has no
key usage. A tenant with such an authority sets ``tls: {strict: false}``, which the error names.
Signatures, validity, host names and trust are verified in any case; no setting switches this verification off.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

import certifi

from verifywise_mlflow.http.errors import InvalidSettingsError
from verifywise_mlflow.http.settings import ConnectionSettings

STRICT_HINT = (
    "The certificate, or its authority's, does not follow RFC 5280. Have it reissued, or set tls: {strict: false} for "
    "the tenant if its private authority is an older one"
)
_STRICT_ONLY_CODES = range(80, 95)
"""X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA to X509_V_ERR_EC_KEY_EXPLICIT_PARAMS in OpenSSL 3's ``x509_vfy.h``: the errors
that verification raises only under X509_V_FLAG_X509_STRICT."""


def tls_context(settings: ConnectionSettings) -> ssl.SSLContext:
    """Return a context that verifies the server, and that presents the client certificate if there is one.

    ``ssl.create_default_context`` is not used: it reads SSL_CERT_FILE and SSL_CERT_DIR, and writes the keys of every
    connection to SSLKEYLOGFILE.

    Raises:
        InvalidSettingsError: a TLS file cannot be used.
    """
    if not settings.ca_bundle and not settings.client_certificate:
        return _system_context(_system_authorities(), settings.tls_strict)
    context = _new_context(is_strict=settings.tls_strict)
    if settings.ca_bundle:
        try:
            context.load_verify_locations(settings.ca_bundle)
        except OSError as error:
            raise InvalidSettingsError(f"ca_bundle {settings.ca_bundle} cannot be used: {error.strerror}") from None
    else:
        _trust_system_authorities(context)
    if settings.client_certificate:
        try:
            # The empty password keeps OpenSSL from prompting for a password on the terminal.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except OSError as error:
            raise InvalidSettingsError(
                f"tls.client_certificate {settings.client_certificate} cannot be used with its key: {error.strerror}"
            ) from None
    return context


def violates_strict_rules(error: BaseException) -> bool:
    """Return whether a TLS handshake failed only because of strict verification."""
    # urllib3 wraps the ssl module's error as its first argument.
    for cause in (error, *error.args):
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _STRICT_ONLY_CODES:
            return True
    return False


def _new_context(*, is_strict: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if is_strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    else:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@lru_cache(maxsize=2)
def _system_context(authorities: tuple[tuple[str, int], ...], is_strict: bool) -> ssl.SSLContext:  # noqa: ARG001
    """Return a context that trusts the system's authorities and has no setting of a tenant, so that tenants share it.

    Reading the authorities takes 20 ms. For a poll of 500 tenants per minute, this is a sixth of a core.
    ``authorities`` is the cache key: a context is rebuilt when the files of the authorities change.
    """
    context = _new_context(is_strict=is_strict)
    _trust_system_authorities(context)
    return context


def _system_authorities() -> tuple[tuple[str, int], ...]:
    """Return the paths of the system's authorities with their modification times, in nanoseconds."""
    default = ssl.get_default_verify_paths()
    paths = (Path(default.openssl_cafile), Path(default.openssl_capath))
    return tuple((str(path), path.stat().st_mtime_ns) for path in paths if path.exists())


def _trust_system_authorities(context: ssl.SSLContext) -> None:
    """Trust the authorities at the paths that OpenSSL was built with; if there are none, the authorities of certifi."""
    default = ssl.get_default_verify_paths()
    file, directory = Path(default.openssl_cafile), Path(default.openssl_capath)
    if file.is_file() or directory.is_dir():
        context.load_verify_locations(
            str(file) if file.is_file() else None, str(directory) if directory.is_dir() else None
        )
    else:
        context.load_verify_locations(certifi.where())
