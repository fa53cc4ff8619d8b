"""Put a small JSON document into a finished PNG, JPEG or WebP file, and read it back (pure).

The file's own picture bytes are never touched, so one encoded picture can be kept and given a
different run's metadata each time it is handed out.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping

from fauxvider.engine.outputs import sniff
from fauxvider.errors import RenderError

__all__ = ["read_metadata", "stamp"]

KEYWORD = b"fauxvider"
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\x00\x00"
_DESCRIPTION = 0x010E
_TIFF_HEAD = 26  # header 8, entry count 2, one entry 12, no next directory 4


def stamp(data: bytes, fields: Mapping[str, object]) -> bytes:
    """Give the file with ``fields`` in it: a PNG text chunk, or an EXIF ImageDescription.

    ``data`` is a file as this package encodes it (no alpha, no EXIF yet). Raises RenderError otherwise.
    """
    text = json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    if data.startswith(_PNG):
        body = KEYWORD + b"\x00" + text
        return data[:33] + _png_chunk(b"tEXt", body) + data[33:]
    if data.startswith(b"\xff\xd8"):
        exif = _EXIF + _tiff(text)
        at = 4 + struct.unpack_from(">H", data, 4)[0] if data[2:4] == b"\xff\xe0" else 2
        return data[:at] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[at:]
    if data[:4] == b"RIFF" and data[12:16] in (b"VP8 ", b"VP8L"):
        return _stamp_webp(data, _tiff(text))
    raise RenderError("only a plain PNG, JPEG or WebP file can carry metadata")


def read_metadata(data: bytes) -> dict[str, object] | None:
    """Give the fields that ``stamp`` wrote into a file; None when there are none."""
    try:
        if data.startswith(_PNG):
            found = next((body for kind, body in _png_chunks(data) if kind == b"tEXt"), b"")
            keyword, _, text = found.partition(b"\x00")
            text = text if keyword == KEYWORD else b""
        elif data.startswith(b"\xff\xd8"):
            text = _description(next((body for body in _jpeg_app1(data) if body.startswith(_EXIF)), b""))
        elif data[:4] == b"RIFF":
            text = _description(next((body for kind, body in _riff_chunks(data) if kind == b"EXIF"), b""))
        else:
            return None
        fields = json.loads(text)
    except (struct.error, IndexError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            return
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _jpeg_app1(data: bytes) -> Iterator[bytes]:
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        if data[at + 1] == 0xE1:
            yield data[at + 4 : at + 2 + length]
        at += 2 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _stamp_webp(data: bytes, exif: bytes) -> bytes:
    header = sniff(data)
    if header is None:
        raise RenderError("the WebP file has no readable size")
    size = b"".join((side - 1).to_bytes(3, "little") for side in header[1:])
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x08\x00\x00\x00" + size
    body = b"WEBP" + extended + data[12:] + b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\x00" * (len(exif) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(text: bytes) -> bytes:
    value = text + b"\x00"
    entry = struct.pack("<HHII", _DESCRIPTION, 2, len(value), _TIFF_HEAD)
    return b"II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00" + value


def _description(exif: bytes) -> bytes:
    """Read the first entry of a directory laid out by ``_tiff`` (other writers' files give nothing)."""
    tiff = exif.removeprefix(_EXIF)
    if tiff[:10] != b"II*\x00\x08\x00\x00\x00\x01\x00":
        return b""
    tag, _, count, at = struct.unpack_from("<HHII", tiff, 10)
    return tiff[at : at + count - 1] if tag == _DESCRIPTION else b""
