"""The interface of object-store APIs: pages of keys by prefix, and objects by key. Also parses XML listings safely."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote
from xml.etree import ElementTree

from verifywise_mlflow.http.errors import InvalidResponseError

_STATE_CHARS = 24
"""The number of hexadecimal digits in a state's digest. Few suffice, since a digest is compared with only one other
digest."""


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """A request for one page of a listing."""

    prefix: str
    """The beginning of all listed keys."""
    is_by_folder: bool = False
    """Whether the keys below a further slash are listed as one folder instead of one by one."""
    start: str = ""
    """The key at which the listing starts. Keys that sort before this key are left out."""
    token: str | None = None
    """The continuation token of the previous page."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket."""

    key: str
    size: int
    """Bytes, as listed."""
    state: str | None = None
    """A digest that changes when the object is written again (see ``object_state``); None if the object was listed
    without an ETag or a generation."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    objects: tuple[StoredObject, ...]
    folders: tuple[str, ...]
    """Each ends with a slash."""
    token: str | None
    """The continuation token of the next page, if there is one."""


class StoreApi(Protocol):
    """The API of one kind of object store: creates URLs, and parses responses."""

    headers: Mapping[str, str]
    """Sent with each request."""
    is_sorted: bool
    """Whether listings are sorted by key and may start at any key."""

    def page_url(self, request: ListingRequest) -> str:
        """Return the URL of a page."""

    def page(self, body: bytes) -> Page:
        """Parse the response.

        Raises:
            InvalidResponseError: It is not a listing.
        """

    def object_url(self, key: str) -> str:
        """Return the URL of an object's bytes."""


def escape_key(key: str, *, keep: str = "/") -> str:
    """Return a key percent-encoded for a URL, in the form that all signatures expect.

    A lone surrogate, which a hostile store may list, is encoded too: the store then responds with an error.
    """
    return quote(key, safe=f"{keep}-_.~", errors="surrogatepass")


def parse_size(text: str | None) -> int:
    """Return a listed size. A negative size is rejected later, with its entry.

    Raises:
        InvalidResponseError: It is not a number.
    """
    digits = text or ""
    if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:
        raise InvalidResponseError("the store lists a size that is not a number")
    return int(digits)


def object_state(identifier: str, *more: str) -> str | None:
    """Return a digest of an object's listed state; None if the listing has no identifier of the object's content.

    Args:
        identifier: An ETag or a generation, which changes whenever the object is written.
        more: Other listed values that change with the object.
    """
    if not identifier:
        return None
    return hashlib.sha256("\n".join((identifier, *more)).encode("utf-8", "surrogatepass")).hexdigest()[:_STATE_CHARS]


class Element:
    """An XML element whose names are read without their namespaces."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element
        self.text = element.text or ""

    @property
    def is_encoded(self) -> bool:
        """Whether Azure has percent-encoded the text, since XML cannot contain it."""
        return self._element.get("Encoded") == "true"

    def children(self, name: str) -> Iterator[Element]:
        """Yield the children with this name."""
        return (Element(child) for child in self._element if child.tag.rpartition("}")[2] == name)

    def child(self, name: str) -> Element | None:
        """Return the first child with this name."""
        return next(self.children(name), None)

    def child_text(self, name: str) -> str:
        """Return the text of the first child with this name; empty if there is no such child."""
        element = self.child(name)
        return element.text if element else ""


def xml_root(body: bytes, name: str) -> Element:
    """Parse an XML response, and check the name of its root element.

    Raises:
        InvalidResponseError: The response is not XML in UTF-8, has another root, or declares a document type, which
            could define entities. No store declares a document type.
    """
    try:
        text = body.decode("utf-8")  # only UTF-8: another encoding could hide a document type from the check below
        if "<!DOCTYPE" in text or "\0" in text:
            raise InvalidResponseError("the store responded with XML that declares a document type")
        root = ElementTree.fromstring(text)  # noqa: S314  # entities need a document type, which is rejected above
    except (ElementTree.ParseError, UnicodeDecodeError):
        raise InvalidResponseError("the store did not respond with XML") from None
    if root.tag.rpartition("}")[2] != name:
        raise InvalidResponseError("the store did not respond with a listing")
    return Element(root)
