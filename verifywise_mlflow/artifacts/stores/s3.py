"""S3 and what speaks like it: ListObjectsV2, GetObject, Signature Version 4.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, urlencode, urlsplit

from verifywise_mlflow.artifacts.stores.protocol import (
    Element,
    ListingRequest,
    Page,
    StoredObject,
    escape_key,
    parse_size,
    xml_root,
)
from verifywise_mlflow.http.auth import Request
from verifywise_mlflow.http.errors import InvalidSettingsError
from verifywise_mlflow.http.sigv4 import AwsKeys

if TYPE_CHECKING:
    from botocore.auth import S3SigV4Auth

_BEFORE_SLASH = ".\ufffd"
"""The full stop comes before the slash, and next to nothing between ``.\ufffd`` and it."""


class S3Api:
    """One bucket."""

    headers: Mapping[str, str] = {"Accept-Encoding": "identity"}
    is_sorted = True

    def __init__(self, endpoint: str, bucket: str, *, path_style: bool) -> None:
        self._base = f"{endpoint}/{escape_key(bucket)}" if path_style else endpoint

    def page_url(self, question: ListingRequest) -> str:
        """Return the URL of ListObjectsV2."""
        # A key may hold what XML cannot, hence encoding-type.
        asked = {"encoding-type": "url", "list-type": "2", "max-keys": "1000", "prefix": question.prefix}
        if question.is_by_folder:
            asked["delimiter"] = "/"
        if question.token is not None:
            asked["continuation-token"] = question.token
        elif question.start:
            # It leaves out a key that is just this, and an object may bear a folder's name, slash and all.
            asked["start-after"] = (
                f"{question.start[:-1]}{_BEFORE_SLASH}" if question.start.endswith("/") else question.start
            )
        return f"{self._base}/?{_query(asked)}"

    def page(self, body: bytes) -> Page:
        """Read a ListBucketResult."""
        root = xml_root(body, "ListBucketResult")
        is_escaped = root.child_text("EncodingType") == "url"

        def key_in(element: Element, name: str) -> str:
            text = element.child_text(name)
            return unquote_plus(text, errors="surrogateescape") if is_escaped else text

        return Page(
            tuple(
                StoredObject(key_in(item, "Key"), parse_size(item.child_text("Size")))
                for item in root.children("Contents")
            ),
            tuple(key_in(item, "Prefix") for item in root.children("CommonPrefixes")),
            root.child_text("NextContinuationToken") if root.child_text("IsTruncated") == "true" else None,
        )

    def object_url(self, key: str) -> str:
        """Return the URL of GetObject."""
        return f"{self._base}/{escape_key(key)}"


class S3Signer:
    """Credentials that sign each request by botocore's rules for S3; nothing else of botocore is used.

    Its sessions look for credentials in the environment, in files and at the instance; this signer is given its keys.
    """

    def __init__(self, keys: AwsKeys, region: str) -> None:
        """Load botocore.

        Raises:
            InvalidSettingsError: It is not installed.
        """
        self._signer = _signer(keys, region)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers that sign the request."""
        from botocore.awsrequest import AWSRequest

        url = urlsplit(request.url)
        default = {"http": 80, "https": 443}[url.scheme]
        # Said by us: through a proxy, urllib3 would write a default port, which the signature leaves out.
        host = f"{url.hostname}:{url.port}" if url.port not in (None, default) else url.hostname or ""
        signed = AWSRequest(method=request.method, url=request.url, headers={"Host": host})
        self._signer.add_auth(signed)
        names = ("Host", "Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
        return {name: str(signed.headers[name]) for name in names if name in signed.headers}

    def renew(self) -> bool:
        """There are no other keys."""
        return False


def _signer(keys: AwsKeys, region: str) -> S3SigV4Auth:
    try:
        from botocore.auth import S3SigV4Auth
    except ImportError:
        raise InvalidSettingsError(
            "an s3:// store with keys needs botocore, which is not installed: pip install 'verifywise-mlflow[aws]'"
        ) from None
    # It logs what it signs, session token and all.
    logging.getLogger("botocore.auth").addFilter(_say_nothing)
    return S3SigV4Auth(keys, "s3", region)


def _say_nothing(record: logging.LogRecord) -> bool:
    del record
    return False


def _query(asked: Mapping[str, str]) -> str:
    # A blank as %20: a signature takes + for itself. Sorted, as the signature's own query is.
    return urlencode(sorted(asked.items()), quote_via=lambda text, *_: escape_key(text, keep=""))
