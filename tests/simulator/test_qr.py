from base64 import b64decode

import pytest

BODY = {
    "MerchantName": "Duka",
    "RefNo": "234567890",
    "Amount": 500,
    "TrxCode": "PB",
    "CPI": "174379",
    "Size": "300",
}


def generate(shop, **changes):
    return shop.call("/mpesa/qrcode/v1/generate", BODY | changes)


@pytest.mark.parametrize(("size", "at_least"), [("300", 200), ("600", 450)])
def test_a_code_is_a_png_of_about_the_size_asked_for(shop, size, at_least):
    told = generate(shop, Size=size).json

    image = b64decode(told["QRCode"])
    width = int.from_bytes(image[16:20], "big")
    assert told["ResponseCode"] == "00"
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert at_least <= width <= int(size)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MerchantName", ""),
        ("RefNo", None),
        ("Amount", 0),
        ("TrxCode", "QR"),
        ("CPI", "shop"),
        ("Size", "0"),
        ("Size", "1001"),
    ],
)
def test_a_wrong_field_is_named(shop, field, value):
    refused = generate(shop, **{field: value})

    assert refused.status_code == 400
    assert refused.json["errorMessage"] == f"Bad Request - Invalid {field}"
