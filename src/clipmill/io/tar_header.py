"""The 512-byte headers of tar members: made by hand, and read in every dialect in use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

BLOCK_BYTES = 512
ZERO_BLOCK = bytes(BLOCK_BYTES)
_OCTAL_LIMIT = 8**11
"""First size that eleven octal digits cannot say: 8 GiB."""

# Mode 0644, user and group 0; the size; modification time 0: the same input gives the same bytes.
_OWNER = b"0000644\0" + b"0000000\0" * 2
_TIME = b"00000000000\0"
_MAGIC = b"ustar\x0000"
_PAX_NAME = "././@PaxHeader"
_HOSTILE = re.compile(r"[\0-\x1f\x7f\\]")


class RawHeader(NamedTuple):
    """What one header block says.

    Args:
        name: member name; may be overridden by an extension header before it.
        size: bytes of data; may be overridden too.
        kind: type flag, such as ``0`` for a file or ``x`` for an extension header.
    """

    name: str
    size: int
    kind: str


def padding(size: int) -> int:
    """Zero bytes after ``size`` bytes of data, up to the next block."""
    return -size % BLOCK_BYTES


def check_member_name(name: str) -> None:
    """Refuse names that could lead out of the folder a tar is unpacked in.

    Raises:
        ValueError: the name is absolute, has empty, ``.`` or ``..`` parts, or control characters.
    """
    parts = name.split("/")
    if _HOSTILE.search(name) or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r} is not a safe name for a tar member")


def member_header(name: str, size: int) -> bytes:
    """Header blocks of a regular file, ready to be followed by its data.

    A name that plain ustar cannot hold (too long, not ASCII) gets a pax header before it; a size of
    8 GiB or more is written in base 256.

    Args:
        name: member name.
        size: bytes of data.

    Raises:
        ValueError: the name is not safe.
    """
    check_member_name(name)
    plain = name.encode()
    if len(plain) <= 100 and name.isascii():
        return _ustar(plain, b"", size, b"0")
    prefix, short = _split(plain) if name.isascii() else (None, b"")
    if prefix is not None:
        return _ustar(short, prefix, size, b"0")
    records = _pax_record("path", name)
    pax = _ustar(_PAX_NAME.encode(), b"", len(records), b"x") + records
    return pax + bytes(padding(len(records))) + _ustar(plain[:100], b"", size, b"0")


def _ustar(name: bytes, prefix: bytes, size: int, kind: bytes) -> bytes:
    digits = b"%011o\0" % size if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    before = name.ljust(100, b"\0") + _OWNER + digits + _TIME
    after = kind + bytes(100) + _MAGIC + bytes(80) + prefix.ljust(155, b"\0") + bytes(12)
    checksum = sum(before) + sum(after) + 8 * 32
    return b"".join((before, b"%06o\0 " % checksum, after))


def _split(name: bytes) -> tuple[bytes | None, bytes]:
    """Prefix and rest of a name for the two fields of ustar; no prefix when it cannot be split."""
    cut = name.find(b"/", max(0, len(name) - 101))
    if 0 < cut <= 155 and len(name) - cut - 1 <= 100:
        return name[:cut], name[cut + 1 :]
    return None, b""


def _pax_record(keyword: str, value: str) -> bytes:
    body = b" %s=%s\n" % (keyword.encode(), value.encode())
    length = len(body) + len(str(len(body)))
    if length < len(body) + len(str(length)):
        length += 1
    return b"%d%s" % (length, body)


def parse_header(block: bytes) -> RawHeader:
    """Read one header block.

    Raises:
        ValueError: its checksum is wrong or a number in it is none.
    """
    stored = _number(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 32
    if stored != unsigned and stored != unsigned - 256 * sum(
        byte > 127 for byte in block[:148] + block[156:]
    ):
        raise ValueError("its checksum is wrong")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    return RawHeader(name, _number(block[124:136]), chr(block[156]))


def parse_pax(data: bytes) -> dict[str, str]:
    """Read the records of a pax extension header.

    Raises:
        ValueError: they are not of the form ``length keyword=value``.
    """
    found = {}
    while data:
        digits, _, _ = data.partition(b" ")
        if not digits.isdigit() or not len(digits) + 2 < int(digits) <= len(data):
            raise ValueError("its pax extension header is damaged")
        keyword, separator, value = data[len(digits) + 1 : int(digits) - 1].partition(b"=")
        if not separator or data[int(digits) - 1] != 10:
            raise ValueError("its pax extension header is damaged")
        found[keyword.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[int(digits) :]
    return found


def pax_size(records: Mapping[str, str], size: int) -> int:
    """The size that pax records say, or else the header's.

    Raises:
        ValueError: the member is sparse or the size no number.
    """
    if any(keyword.startswith("GNU.sparse.") for keyword in records):
        raise ValueError("it is stored sparse, which only tar programs can read")
    text = records.get("size")
    if text is None:
        return size
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"its size {text!r} is no number")
    return int(text)


def text_until_nul(data: bytes) -> str:
    """A NUL-terminated name, as GNU extension headers hold it."""
    return _text(data)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise ValueError("it has a negative or absurd number")
        return int.from_bytes(field[1:], "big")
    digits = field.replace(b"\0", b" ").strip()
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise ValueError(f"{digits!r} is not an octal number") from None
