"""Azure Blob Storage: List Blobs, Get Blob, and authentication.

https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from verifywise_mlflow.artifacts.stores.protocol import (
    Element,
    ListingRequest,
    Page,
    StoredObject,
    escape_key,
    object_state,
    parse_size,
    xml_root,
)
from verifywise_mlflow.http.errors import InvalidSettingsError
from verifywise_mlflow.http.request_auth import Request

SCOPE = "https://storage.azure.com/.default"
"""The scope of tokens from Microsoft's issuer."""
_VERSION = "2023-11-03"
"""The version of the API. From 2021-02-12 on, names that XML cannot contain are escaped and marked as escaped."""


class AzureApi:
    """One container."""

    headers: Mapping[str, str] = {"Accept-Encoding": "identity", "x-ms-version": _VERSION}
    is_sorted = False
    """False: with a hierarchical namespace, the slash sorts first, and a listing cannot start at a key."""

    def __init__(self, endpoint: str, container: str, sas_query: str = "") -> None:
        """Describe the container.

        Args:
            endpoint: The URL of the blob service.
            container: Its name.
            sas_query: The query of a shared access signature, without its question mark.
        """
        self._base = f"{endpoint}/{escape_key(container)}"
        self._sas_query = sas_query

    def page_url(self, request: ListingRequest) -> str:
        """Return the URL of List Blobs."""
        params = {
            "restype": "container",
            "comp": "list",
            "prefix": request.prefix,
            **({"delimiter": "/"} if request.is_by_folder else {}),
            **({"marker": request.token} if request.token is not None else {}),
        }
        query = urlencode(params, quote_via=lambda text, *_: escape_key(text, keep=""))
        return f"{self._base}?{query}" + (f"&{self._sas_query}" if self._sas_query else "")

    def page(self, body: bytes) -> Page:
        """Parse EnumerationResults."""
        root = xml_root(body, "EnumerationResults")
        blobs = root.child("Blobs")
        listed = list(blobs.children("Blob")) if blobs else []
        folders = tuple(_name(item) for item in blobs.children("BlobPrefix")) if blobs else ()
        return Page(
            tuple(_object(blob) for blob in listed if not _is_directory(blob)),
            folders,
            root.child_text("NextMarker") or None,
        )

    def object_url(self, key: str) -> str:
        """Return the URL of Get Blob."""
        return f"{self._base}/{escape_key(key)}" + (f"?{self._sas_query}" if self._sas_query else "")


class SharedKeyAuth:
    """Credentials that sign each request with an account's key.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """

    def __init__(self, account: str, key: str) -> None:
        """Decode the key.

        Raises:
            InvalidSettingsError: The key is not Base64. The message quotes no part of it.
        """
        self._account = account
        try:
            self._key = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidSettingsError(
                "account_key is not the key of an Azure storage account: it is not Base64"
            ) from None

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers that sign a GET request."""
        version_headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": request.headers["x-ms-version"]}
        parts = urlsplit(request.url)
        params = sorted((name.lower(), value) for name, value in parse_qsl(parts.query, keep_blank_values=True))
        string_to_sign = "\n".join(
            [
                request.method,
                *[""] * 11,  # the standard headers, which a GET without a body lacks
                *(f"{name}:{value}" for name, value in sorted(version_headers.items())),
                f"/{self._account}{parts.path}",
                *(f"{name}:{value}" for name, value in params),
            ]
        )
        signature = base64.b64encode(hmac.digest(self._key, string_to_sign.encode(), "sha256")).decode("ascii")
        return {"x-ms-date": version_headers["x-ms-date"], "Authorization": f"SharedKey {self._account}:{signature}"}

    def renew(self) -> bool:
        """Return False: there is no other key."""
        return False


def _object(blob: Element) -> StoredObject:
    properties = blob.child("Properties")
    if properties is None:
        return StoredObject(_name(blob), parse_size(None))
    return StoredObject(
        _name(blob),
        parse_size(properties.child_text("Content-Length")),
        object_state(properties.child_text("Etag"), properties.child_text("Last-Modified")),
    )


def _is_directory(blob: Element) -> bool:
    """Return whether an entry is a folder of a hierarchical namespace, which Azure lists among the blobs."""
    properties = blob.child("Properties")
    return properties is not None and properties.child_text("ResourceType") == "directory"


def _name(item: Element) -> str:
    name = item.child("Name")
    if name is None:
        return ""
    return unquote(name.text, errors="surrogateescape") if name.is_encoded else name.text
