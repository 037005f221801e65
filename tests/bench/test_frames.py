import zlib

from tests.bench.frames import Incoming, close_frame, connect, text_frame, upgrade


def sent(text, *, head=b"\x81"):
    """A server's frame with this text, its length in as few bytes as may be."""
    payload = text.encode()
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload


def test_messages_that_came_together_are_taken_apart():
    messages = list(Incoming().feed(sent("2") + sent('42["status",{}]')))

    assert messages == ["2", '42["status",{}]']


def test_a_message_that_came_in_pieces_is_put_together():
    incoming, frame = Incoming(), sent("a" * 300)

    messages = [each for byte in frame for each in incoming.feed(bytes([byte]))]

    assert messages == ["a" * 300]


def test_a_message_longer_than_64_kib_is_read():
    text = "a" * 70_000
    frame = b"\x81\x7f" + len(text).to_bytes(8, "big") + text.encode()

    assert list(Incoming().feed(frame)) == [text]


def test_frames_that_are_no_text_are_passed_over():
    ping, closing = b"\x89\x00", b"\x88\x02\x03\xe8"

    assert list(Incoming().feed(ping + sent("3") + closing)) == ["3"]


def test_compressed_messages_share_what_was_said_before():
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    incoming, texts = Incoming(), ["42 Enter your PIN", "42 Enter your PIN"]

    frames = b""
    for text in texts:
        body = deflater.compress(text.encode()) + deflater.flush(zlib.Z_SYNC_FLUSH)
        frames += b"\xc1" + bytes([len(body) - 4]) + body[:-4]

    assert list(incoming.feed(frames)) == texts


def test_a_clients_frames_are_masked_with_zeros():
    assert text_frame("3") == b"\x81\x81\0\0\0\x003"
    assert text_frame("a" * 200)[:8] == b"\x81\xfe\x00\xc8\0\0\0\0"
    assert close_frame() == b"\x88\x82\0\0\0\0\x03\xe9"


def test_a_shopper_asks_for_one_transaction():
    assert connect("tx-1").endswith(b'40{"tx_id": "tx-1", "lang": "en"}')


def test_only_a_browser_offers_compression():
    assert b"permessage-deflate" in upgrade("127.0.0.1:8000", browser=True)
    assert b"permessage-deflate" not in upgrade("127.0.0.1:8000", browser=False)
