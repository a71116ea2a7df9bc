"""What the protocols of object stores have in common: pages of keys, asked for by prefix, and objects by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote
from xml.etree import ElementTree

from verifywise_mlflow.http.errors import InvalidResponseError


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """One page of a listing."""

    prefix: str
    """Of the keys; whatever begins with it."""
    is_by_folder: bool = False
    """Whether keys with a further slash are told as their folders only."""
    start: str = ""
    """Where the listing begins: no key that sorts before this one."""
    token: str | None = None
    """From the page before this one."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a bucket."""

    key: str
    size: int
    """Bytes, as listed."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the keys that were asked for."""

    objects: tuple[StoredObject, ...]
    folders: tuple[str, ...]
    """Each ends with a slash."""
    token: str | None
    """For the next page, where there is one."""


class StoreApi(Protocol):
    """How one kind of object store is spoken to."""

    headers: Mapping[str, str]
    """To be sent with each request."""
    is_sorted: bool
    """Whether listings come in the keys' order and may begin anywhere."""

    def page_url(self, question: ListingRequest) -> str:
        """The URL that answers the question."""

    def page(self, body: bytes) -> Page:
        """Read the answer.

        Raises:
            InvalidResponseError: It is none.
        """

    def object_url(self, key: str) -> str:
        """The URL of an object's bytes."""


def escape_key(key: str, *, keep: str = "/") -> str:
    """Return a key as part of a URL's path, in the one form that all signatures agree on."""
    return quote(key, safe=f"{keep}-_.~")


def parse_size(text: str | None) -> int:
    """Return the size that a listing tells; a negative one is refused where the entry is judged.

    Raises:
        InvalidResponseError: It is no number.
    """
    digits = text or ""
    if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:
        raise InvalidResponseError("the store lists a size that is no number")
    return int(digits)


class Element:
    """An XML element whose names are read without their namespaces."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element
        self.text = element.text or ""

    @property
    def is_encoded(self) -> bool:
        """Whether Azure has escaped the text, since XML could not carry it."""
        return self._element.get("Encoded") == "true"

    def children(self, name: str) -> Iterator[Element]:
        """Yield the children of that name."""
        return (Element(child) for child in self._element if child.tag.rpartition("}")[2] == name)

    def child(self, name: str) -> Element | None:
        """Return the first child of that name."""
        return next(self.children(name), None)

    def child_text(self, name: str) -> str:
        """Return the text of the first child of that name, empty where there is none."""
        found = self.child(name)
        return found.text if found else ""


def xml_root(body: bytes, name: str) -> Element:
    """Parse an answer whose outermost element has the name.

    Raises:
        InvalidResponseError: It is none, or declares a document type: no store does, and entities are made there.
    """
    try:
        text = body.decode("utf-8")  # in no other encoding, lest one hide a document type from the look below
        if "<!DOCTYPE" in text or "\0" in text:
            raise InvalidResponseError("the store answered with XML that declares a document type")
        root = ElementTree.fromstring(text)  # noqa: S314  # entities need a document type, which was refused above
    except (ElementTree.ParseError, UnicodeDecodeError):
        raise InvalidResponseError("the store answered with what is no XML") from None
    if root.tag.rpartition("}")[2] != name:
        raise InvalidResponseError("the store answered with what is no listing")
    return Element(root)
