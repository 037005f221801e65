"""The checkout address as a code to scan."""

from mpesa.web.http import qr

ADDRESS = "https://pay.example.com/checkout/fPXIkVzsACg7ZCB7oJ3rbA?lang=en"


def test_the_picture_needs_no_inline_style_and_holds_no_text():
    picture = qr.svg(ADDRESS)

    assert picture.startswith("<svg ")
    assert "style" not in picture
    assert "pay.example.com" not in picture


def test_the_address_decides_the_picture():
    assert qr.svg(ADDRESS) == qr.svg(ADDRESS)
    assert qr.svg(ADDRESS) != qr.svg(ADDRESS + "x")


def test_in_a_terminal_it_is_a_square_of_half_blocks():
    lines = qr.terminal(ADDRESS).splitlines()

    assert set("".join(lines)) <= set(" ▀▄█")
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) // 2 <= len(lines) <= len(lines[0]) // 2 + 1


def test_the_command_prints_the_address_alone_on_its_first_line(app):
    asked = ["orders", "create", "--amount", "150", "--reference", "A", "--description", "Tea"]

    plain = app.test_cli_runner().invoke(args=asked).output.splitlines()
    with_code = app.test_cli_runner().invoke(args=[*asked, "--qr"]).output.splitlines()

    assert len(plain) == 1
    assert with_code[0].startswith("http://127.0.0.1:8000/checkout/")
    assert qr.terminal(with_code[0]).splitlines()[0] == with_code[1]
