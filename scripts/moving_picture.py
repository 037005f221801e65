"""A moving WebP out of still ones: https://developers.google.com/speed/webp/docs/riff_container."""

import struct
from collections.abc import Iterator, Sequence

_ANIMATED = 0x02
_COVERS_WHAT_WAS = 0x02


def moving(frames: Sequence[tuple[bytes, int]], width: int, height: int) -> bytes:
    """Show still pictures one after another, for ever.

    Args:
        frames: WebPs without transparency, each with the milliseconds that it stays. Where a viewer
            moves nothing, the first one stands for all.
        width: of each, in pixels; height likewise.

    Raises:
        ValueError: a frame holds no picture, or one with transparency.
    """
    size = _three_bytes(width - 1) + _three_bytes(height - 1)
    chunks = [
        _chunk(b"VP8X", bytes([_ANIMATED, 0, 0, 0]) + size),
        # White behind, and no last round.
        _chunk(b"ANIM", b"\xff\xff\xff\xff" + struct.pack("<H", 0)),
    ]
    for picture, milliseconds in frames:
        place = bytes(6) + size + _three_bytes(milliseconds) + bytes([_COVERS_WHAT_WAS])
        chunks.append(_chunk(b"ANMF", place + _pixels(picture)))
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _pixels(picture: bytes) -> bytes:
    found = [_chunk(kind, data) for kind, data in _chunks(picture) if kind in {b"VP8 ", b"VP8L"}]
    if len(found) != 1:
        raise ValueError("a frame is no WebP of one picture")
    if any(kind == b"ALPH" for kind, _ in _chunks(picture)):
        raise ValueError("a frame is transparent")
    return found[0]


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(b"RIFF....WEBP")
    while place < len(picture):
        kind, length = struct.unpack_from("<4sI", picture, place)
        yield kind, picture[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")
