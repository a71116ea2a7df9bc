"""Google Cloud Storage's JSON API, read only.

https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from verifywise_mlflow.artifacts.stores.protocol import ListingRequest, Page, StoredObject, escape_key, parse_size
from verifywise_mlflow.http.auth import Request
from verifywise_mlflow.http.errors import InvalidResponseError, InvalidSettingsError

ENDPOINT = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


class GcsApi:
    """One bucket."""

    # Without it Google unpacks what was stored with Content-Encoding: gzip, and other bytes would be hashed.
    headers: Mapping[str, str] = {"Accept-Encoding": "gzip"}
    is_sorted = True

    def __init__(self, endpoint: str, bucket: str) -> None:
        self._objects = f"{endpoint}/storage/v1/b/{escape_key(bucket, keep='')}/o"

    def page_url(self, question: ListingRequest) -> str:
        """Return the URL of objects.list."""
        asked = {
            "prefix": question.prefix,
            "maxResults": "1000",
            "fields": "nextPageToken,prefixes,items(name,size)",
            **({"delimiter": "/"} if question.is_by_folder else {}),
            **({"startOffset": question.start} if question.start else {}),
            **({"pageToken": question.token} if question.token is not None else {}),
        }
        return f"{self._objects}?{urlencode(asked)}"

    def page(self, body: bytes) -> Page:
        """Read a page of objects."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise InvalidResponseError("the store answered with what is no JSON") from None
        if not isinstance(found, dict):
            raise InvalidResponseError("the store answered with what is no listing")
        items, folders, token = found.get("items", []), found.get("prefixes", []), found.get("nextPageToken")
        if not _are_texts(folders) or not isinstance(items, list) or not isinstance(token, str | None):
            raise InvalidResponseError("the store answered with what is no listing")
        return Page(tuple(_object(item) for item in items), tuple(folders), token or None)

    def object_url(self, key: str) -> str:
        """Return the URL of an object's media."""
        return f"{self._objects}/{escape_key(key, keep='')}?alt=media"


class ServiceAccountAuth:
    """Tokens that google-auth signs with a service account's own key. Nobody is asked for them.

    google-auth would also look for credentials in the environment, in gcloud's files and at the instance; here it is
    given the key.
    """

    def __init__(self, key: str) -> None:
        """Read the JSON of a service account's key.

        Raises:
            InvalidSettingsError: It is none. The message holds nothing of it.
        """
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import service_account

        try:
            # google-auth has no annotations for this one.
            credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                json.loads(key), scopes=[_SCOPE]
            )
        except (ValueError, TypeError, AttributeError, GoogleAuthError):
            raise InvalidSettingsError(
                "service_account is no key of a service account, as Google's JSON has it"
            ) from None
        self._credentials = credentials.with_always_use_jwt_access(True)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the header with a token, a new one shortly before the last one ends."""
        headers: dict[str, str] = {}
        self._credentials.before_request(_ask_nobody, request.method, request.url, headers)
        return {"Authorization": headers["authorization"]}

    def renew(self) -> bool:
        """A token that the same key signs would be refused, too."""
        return False


def _ask_nobody(*_: object, **__: object) -> None:
    raise AssertionError("a token that its own key signs is asked of nobody")


def _object(item: object) -> StoredObject:
    if not isinstance(item, dict) or not isinstance(name := item.get("name"), str):
        raise InvalidResponseError("the store lists an object without a name")
    size = item.get("size")
    return StoredObject(name, parse_size(size if isinstance(size, str) else str(size)))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
