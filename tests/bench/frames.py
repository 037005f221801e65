"""As much of WebSocket (RFC 6455, 7692), Engine.IO 4 and Socket.IO 5 as a waiting page speaks."""

import json
import struct
import zlib
from collections.abc import Iterator

# Engine.IO packets; MESSAGE wraps a Socket.IO packet: `40` CONNECT, `42` EVENT, `44` refused.
OPEN, PING, PONG = "0", "2", "3"
CONNECTED, EVENT, REFUSED = "40", "42", "44"

_TEXT, _CLOSE = 0x1, 0x8
_FINAL, _COMPRESSED, _MASKED = 0x80, 0x40, 0x80
_GOING_AWAY = struct.pack(">H", 1001)
# What Chromium and Firefox offer with every WebSocket.
_OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def upgrade(host: str, *, browser: bool) -> bytes:
    """The request that opens a WebSocket.

    Args:
        browser: offer compression, as browsers do.
    """
    return (
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"{_OFFER if browser else ''}\r\n"
    ).encode()


def connect(transaction_id: str) -> bytes:
    """The frame that asks for a transaction."""
    return text_frame(CONNECTED + json.dumps({"tx_id": transaction_id, "lang": "en"}))


def text_frame(text: str) -> bytes:
    """A client's text frame."""
    return _frame(_TEXT, text.encode())


def close_frame() -> bytes:
    """What a browser sends when its page goes away."""
    return _frame(_CLOSE, _GOING_AWAY)


def _frame(opcode: int, payload: bytes) -> bytes:
    # A client's frame is masked; a mask of zeros changes nothing.
    length = len(payload)
    if length < 126:
        head = struct.pack(">BB", _FINAL | opcode, _MASKED | length)
    else:
        head = struct.pack(">BBH", _FINAL | opcode, _MASKED | 126, length)
    return head + bytes(4) + payload


class Incoming:
    """Cuts a server's bytes into text messages; everything else is passed over."""

    def __init__(self) -> None:
        self._bytes = b""
        self._inflater: zlib._Decompress | None = None

    def feed(self, part: bytes) -> Iterator[str]:
        """Take some bytes in; yields the messages that are complete now."""
        self._bytes += part
        while (size := _size(self._bytes)) is not None:
            (head, payload), begin = size, self._bytes
            if len(begin) < head + payload:
                return
            self._bytes = begin[head + payload :]
            if begin[0] & 0x0F == _TEXT:
                yield self._text(begin[head : head + payload], bool(begin[0] & _COMPRESSED))

    def _text(self, payload: bytes, compressed: bool) -> str:
        if not compressed:
            return payload.decode()
        if self._inflater is None:
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        # RFC 7692, 7.2.2: the sender leaves these four bytes out.
        return self._inflater.decompress(payload + b"\x00\x00\xff\xff").decode()


def _size(begin: bytes) -> tuple[int, int] | None:
    """Lengths of a frame's head and payload; None where the head is not complete yet."""
    if len(begin) < 2:
        return None
    short = begin[1] & 0x7F
    if short < 126:
        return 2, short
    head, form = (4, ">H") if short == 126 else (10, ">Q")
    if len(begin) < head:
        return None
    return head, struct.unpack_from(form, begin, 2)[0]
