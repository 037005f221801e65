"""What is taken for the address of a request, however it was written."""

import pytest

from mpesa.domain.address import UNKNOWN, read_address, sender_of

ADDRESSES = [
    ("196.201.214.200", "196.201.214.200"),
    ("196.201.214.200:53211", "196.201.214.200"),
    (" 196.201.214.200:53211 ", "196.201.214.200"),
    ("2001:db8::7", "2001:db8::7"),
    ("2001:0DB8:0:0::0007", "2001:db8::7"),
    ("[2001:db8::7]", "2001:db8::7"),
    ("[2001:db8::7]:443", "2001:db8::7"),
    ("::ffff:196.201.214.200", "196.201.214.200"),
    ("::ffff:c4c9:d6c8", "196.201.214.200"),
    ("[::ffff:196.201.214.200]:443", "196.201.214.200"),
    ("::ffff:196.201.214.200%eth0", "196.201.214.200"),
    ("fe80::1%eth0", "fe80::1"),
    ("[fe80::1%eth0]:443", "fe80::1"),
    ("[fe80::1%25eth0]:443", "fe80::1"),
    # Without brackets the last group is a group.
    ("2001:db8::7:443", "2001:db8::7:443"),
    ("::1", "::1"),
    ("127.0.0.1", "127.0.0.1"),
]

NONE_AT_ALL = [
    None,
    "",
    " ",
    "unknown",
    "_hidden",
    "localhost",
    "196.201.214",
    "196.201.214.200.1",
    "196.201.214.256",
    "196.201.214.0200",
    "196.201.214.200:",
    "196.201.214.200:port",
    "196.201.214.200:123456",
    "196.201.214.200:80:80",
    "196.201.214.200, 203.0.113.9",
    "196.201.214.200/24",
    "[196.201.214.200",
    "[2001:db8::7",
    "[2001:db8::7]443",
    "[[2001:db8::7]]",
    "2001:db8::7]",
    "2001:db8::7::1",
    "%eth0",
    "\u0661\u0669\u0666.201.214.200",
    "196.201.214.200\r\nX: y",
    "a" * 10_000,
]


@pytest.mark.parametrize(("written", "address"), ADDRESSES)
def test_an_address_is_found_in_every_way_to_write_it(written, address):
    assert read_address(written) == address


@pytest.mark.parametrize("written", NONE_AT_ALL)
def test_what_is_no_address_is_unknown(written):
    assert read_address(written) == UNKNOWN


@pytest.mark.parametrize("written", [*(each for each, _ in ADDRESSES), *NONE_AT_ALL])
def test_an_address_that_was_read_reads_as_itself(written):
    once = read_address(written)

    assert read_address(once) == once
    assert len(once) <= 45  # the longest IPv6 address in text; columns have 64


def test_an_ipv6_network_is_one_sender_and_all_that_is_unknown_another():
    assert sender_of("2001:db8:0:1::5") == sender_of("2001:db8:0:1:ffff::9") == "2001:db8:0:1::/64"
    assert sender_of("2001:db8:0:2::5") != sender_of("2001:db8:0:1::5")
    assert sender_of("2001:db8:7:2::5", ipv6_prefix=48) == "2001:db8:7::/48"
    assert sender_of("41.90.1.1") == sender_of("41.90.1.1", ipv6_prefix=48) == "41.90.1.1"
    assert sender_of(UNKNOWN) == sender_of("nonsense") == UNKNOWN
