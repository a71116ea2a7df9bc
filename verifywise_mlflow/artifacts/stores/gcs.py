"""Google Cloud Storage's JSON API, read only.

https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from verifywise_mlflow.artifacts.stores.protocol import (
    ListingRequest,
    Page,
    StoredObject,
    escape_key,
    object_state,
    parse_size,
)
from verifywise_mlflow.http.errors import InvalidResponseError, InvalidSettingsError
from verifywise_mlflow.http.request_auth import Request

ENDPOINT = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


class GcsApi:
    """One bucket."""

    # Without this header, Google decompresses objects that are stored with Content-Encoding: gzip. Then the hash would
    # not be the hash of the stored bytes.
    headers: Mapping[str, str] = {"Accept-Encoding": "gzip"}
    is_sorted = True

    def __init__(self, endpoint: str, bucket: str) -> None:
        self._objects = f"{endpoint}/storage/v1/b/{escape_key(bucket, keep='')}/o"

    def page_url(self, request: ListingRequest) -> str:
        """Return the URL of objects.list."""
        params = {
            "prefix": request.prefix,
            "maxResults": "1000",
            "fields": "nextPageToken,prefixes,items(name,size,generation,crc32c)",
            **({"delimiter": "/"} if request.is_by_folder else {}),
            **({"startOffset": request.start} if request.start else {}),
            **({"pageToken": request.token} if request.token is not None else {}),
        }
        # surrogatepass: a key or a token in JSON may contain a lone surrogate.
        return f"{self._objects}?{urlencode(params, errors='surrogatepass')}"

    def page(self, body: bytes) -> Page:
        """Parse a page of objects."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            raise InvalidResponseError("the store did not respond with JSON") from None
        if not isinstance(fields, dict):
            raise InvalidResponseError("the store did not respond with a listing")
        items, folders, token = fields.get("items", []), fields.get("prefixes", []), fields.get("nextPageToken")
        if not _is_text_list(folders) or not isinstance(items, list) or not isinstance(token, str | None):
            raise InvalidResponseError("the store did not respond with a listing")
        return Page(tuple(_object(item) for item in items), tuple(folders), token or None)

    def object_url(self, key: str) -> str:
        """Return the URL of an object's content."""
        return f"{self._objects}/{escape_key(key, keep='')}?alt=media"


class ServiceAccountAuth:
    """Self-signed tokens: google-auth signs them with a service account's own key, without a request to a token issuer.

    google-auth gets the key from us. Without a key, it would look for credentials in the environment, in gcloud's files
    and at the instance.
    """

    def __init__(self, key: str) -> None:
        """Parse the JSON of a service account's key.

        Raises:
            InvalidSettingsError: The text is not such a key. The message quotes no part of it.
        """
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import service_account

        try:
            # google-auth has no annotations for this function.
            credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                json.loads(key), scopes=[_SCOPE]
            )
        except (ValueError, TypeError, AttributeError, GoogleAuthError):
            raise InvalidSettingsError("service_account is not the JSON key of a Google service account") from None
        self._credentials = credentials.with_always_use_jwt_access(True)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the header with a token, which is renewed shortly before it expires."""
        headers: dict[str, str] = {}
        self._credentials.before_request(_never_request, request.method, request.url, headers)
        return {"Authorization": headers["authorization"]}

    def renew(self) -> bool:
        """Return False: the server would also refuse another token that is signed with the same key."""
        return False


def _never_request(*_: object, **__: object) -> None:
    raise AssertionError("a self-signed token needs no request")


def _object(item: object) -> StoredObject:
    if not isinstance(item, dict) or not isinstance(name := item.get("name"), str):
        raise InvalidResponseError("the store lists an object without a name")
    size = item.get("size")
    generation, checksum = (str(item.get(field, "")) for field in ("generation", "crc32c"))
    return StoredObject(
        name, parse_size(size if isinstance(size, str) else str(size)), object_state(generation, checksum)
    )


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
