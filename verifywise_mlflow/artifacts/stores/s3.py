"""S3 and compatible stores: ListObjectsV2, GetObject, Signature Version 4.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, urlencode, urlsplit

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
from verifywise_mlflow.http.sigv4 import AwsKeys, silence_signers

if TYPE_CHECKING:
    from botocore.auth import S3SigV4Auth

_JUST_BEFORE_SLASH = ".\ufffd"
"""A text that sorts right before the slash: the full stop precedes the slash, and almost no key lies between
``.\ufffd`` and the slash."""


class S3Api:
    """One bucket."""

    headers: Mapping[str, str] = {"Accept-Encoding": "identity"}
    is_sorted = True

    def __init__(self, endpoint: str, bucket: str, *, path_style: bool) -> None:
        self._base = f"{endpoint}/{escape_key(bucket)}" if path_style else endpoint

    def page_url(self, request: ListingRequest) -> str:
        """Return the URL of ListObjectsV2."""
        # encoding-type is set, because a key may contain characters that XML cannot contain.
        params = {"encoding-type": "url", "list-type": "2", "max-keys": "1000", "prefix": request.prefix}
        if request.is_by_folder:
            params["delimiter"] = "/"
        if request.token is not None:
            params["continuation-token"] = request.token
        elif request.start:
            # start-after is exclusive, and an object may have exactly the name of a folder, including the slash.
            params["start-after"] = (
                f"{request.start[:-1]}{_JUST_BEFORE_SLASH}" if request.start.endswith("/") else request.start
            )
        return f"{self._base}/?{_query(params)}"

    def page(self, body: bytes) -> Page:
        """Parse a ListBucketResult."""
        root = xml_root(body, "ListBucketResult")
        is_escaped = root.child_text("EncodingType") == "url"

        def key_in(element: Element, name: str) -> str:
            text = element.child_text(name)
            return unquote_plus(text, errors="surrogateescape") if is_escaped else text

        return Page(
            tuple(
                StoredObject(
                    key_in(item, "Key"),
                    parse_size(item.child_text("Size")),
                    object_state(item.child_text("ETag"), item.child_text("LastModified")),
                )
                for item in root.children("Contents")
            ),
            tuple(key_in(item, "Prefix") for item in root.children("CommonPrefixes")),
            root.child_text("NextContinuationToken") if root.child_text("IsTruncated") == "true" else None,
        )

    def object_url(self, key: str) -> str:
        """Return the URL of GetObject."""
        return f"{self._base}/{escape_key(key)}"


class S3Signer:
    """Credentials that sign each request with botocore's S3 signer; nothing else of botocore is used.

    The sessions of botocore look for credentials in the environment, in files and at the instance. This signer gets its
    keys from us.
    """

    def __init__(self, keys: AwsKeys, region: str) -> None:
        """Load botocore.

        Raises:
            InvalidSettingsError: botocore is not installed.
        """
        self._signer = _signer(keys, region)

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers that sign the request."""
        from botocore.awsrequest import AWSRequest

        url = urlsplit(request.url)
        default = {"http": 80, "https": 443}[url.scheme]
        # The host is set here: through a proxy, urllib3 would add a default port, which the signature omits.
        host = f"{url.hostname}:{url.port}" if url.port not in (None, default) else url.hostname or ""
        # S3 refuses an S3 header that the signature does not cover, such as the header of a retention lock.
        own = {name: value for name, value in request.headers.items() if name.lower().startswith("x-amz-")}
        signed = AWSRequest(method=request.method, url=request.url, data=request.body, headers={**own, "Host": host})
        self._signer.add_auth(signed)
        names = ("Host", "Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
        return {name: str(signed.headers[name]) for name in names if name in signed.headers}

    def renew(self) -> bool:
        """Return False: there are no other keys."""
        return False


def _signer(keys: AwsKeys, region: str) -> S3SigV4Auth:
    try:
        from botocore.auth import S3SigV4Auth
    except ImportError:
        raise InvalidSettingsError(
            "an s3:// store with keys needs botocore, which is not installed: pip install 'verifywise-mlflow[aws]'"
        ) from None
    silence_signers()
    return S3SigV4Auth(keys, "s3", region)


def _query(params: Mapping[str, str]) -> str:
    # A space becomes %20, since a signature reads + as itself. The parameters have the order of the signature.
    return urlencode(sorted(params.items()), quote_via=lambda text, *_: escape_key(text, keep=""))
