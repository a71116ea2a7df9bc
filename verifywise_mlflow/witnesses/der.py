"""The parts of the encoding DER (X.690) that time-stamp responses need: a sequence, and the order of certificates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SEQUENCE: Final = 0x30
_CERTIFICATES: Final = 0xA0
"""The tag of the certificates in CMS's SignedData (RFC 5652, section 5.1)."""


def sequence(content: bytes) -> bytes:
    """Return a sequence with this content."""
    if len(content) < 0x80:
        return bytes((_SEQUENCE, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes((_SEQUENCE, 0x80 | len(length))) + length + content


def with_sorted_certificates(response: bytes) -> bytes:
    """Return a time-stamp response with the certificates of its token in the order that DER requires.

    OpenSSL sends them in the order of its configuration, which rfc3161-client refuses. No signature covers the order,
    and sorting changes no length. A response that cannot be parsed is returned unchanged.
    """
    try:
        _, token = _children(response, _Element.at(response, 0))
        _, content = _children(response, token)
        (signed_data,) = _children(response, content)
        certificates = next(part for part in _children(response, signed_data) if part.tag == _CERTIFICATES)
        each = sorted(response[part.start : part.end] for part in _children(response, certificates))
    except (IndexError, ValueError, StopIteration):
        return response
    return response[: certificates.content] + b"".join(each) + response[certificates.end :]


@dataclass(frozen=True, slots=True)
class _Element:
    """The position of an element in the encoded bytes."""

    tag: int
    start: int
    content: int
    """The position at which the element's content begins."""
    end: int

    @classmethod
    def at(cls, data: bytes, start: int) -> _Element:
        """Return the element that begins at a position.

        Raises:
            IndexError: The bytes end within the element's first two bytes.
            ValueError: The bytes end later within the element, in its length or its content, or the element does not
                state its length.
        """
        length, content = data[start + 1], start + 2
        if length == 0x80:
            raise ValueError("the length is indefinite")
        if length > 0x80:
            content += length - 0x80
            length = int.from_bytes(data[start + 2 : content])
        if content + length > len(data):
            raise ValueError("the bytes end within the element")
        return cls(data[start], start, content, content + length)


def _children(data: bytes, parent: _Element) -> Iterator[_Element]:
    position = parent.content
    while position < parent.end:
        child = _Element.at(data, position)
        yield child
        position = child.end
