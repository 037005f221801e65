"""Dynamic QR: an image for a payment; here one that no phone takes for M-PESA's."""

from base64 import b64encode
from io import BytesIO

import segno
from flask import Blueprint, Response

from mpesa.simulator.fields import PARTY, matching, shillings, words
from mpesa.simulator.ids import merchant_request_id
from mpesa.simulator.refusals import invalid
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.wire import METHODS, answered

_LARGEST = 1000  # pixels
_MARGIN = 4  # modules that have to stay white around a code (ISO/IEC 18004)


class QrEndpoint:
    """The route of Dynamic QR."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def register(self, blueprint: Blueprint) -> None:
        """Add the route."""
        blueprint.add_url_rule("/mpesa/qrcode/v1/generate", "qr", self.generate, methods=METHODS)

    def generate(self) -> Response:
        """POST /mpesa/qrcode/v1/generate: at once, and without a callback of its own."""
        body = self._simulator.body("MerchantName")
        name, reference = words(body, "MerchantName"), words(body, "RefNo")
        amount = shillings(body, "Amount")
        kind = matching(body, "TrxCode", "PB|BG|WA|SM|SB")
        number = matching(body, "CPI", PARTY if kind in ("PB", "BG") else r"[0-9]{5,12}")
        size = int(matching(body, "Size", "[0-9]{1,4}"))
        if not 1 <= size <= _LARGEST:
            raise invalid("Size")
        # The real payload is Safaricom's secret.
        text = f"SIMULATOR {kind} {number} {reference} KES {amount} {name}"
        code, file = segno.make(text, error="m"), BytesIO()
        modules = code.symbol_size(border=_MARGIN)[0]
        code.save(file, kind="png", scale=max(1, size // modules), border=_MARGIN)
        return answered(
            {
                "ResponseCode": "00",
                "RequestID": merchant_request_id(self._simulator.chance),
                "ResponseDescription": "QR Code Successfully Generated.",
                "QRCode": b64encode(file.getvalue()).decode(),
            }
        )
