"""A payment through daraja-v3."""

import json

from shop import PASSKEY, SHORTCODE, Shop, tell

from mpesa import MpesaClient

shop = Shop()
client = MpesaClient("daraja-v3", "secret", SHORTCODE, passkey=PASSKEY, sandbox=True)

push = client.stk_push(
    phone=shop.line,
    amount=150,
    reference="INV-1",
    description="Coffee",
    callback_url=shop.callback_url,
).checkout_request_id
before = client.stk_query(push)
result = client.parse_stk_callback(json.loads(shop.callback()))
tell(
    id=result["checkout_request_id"],
    pushed=push,
    before=before.result_code,
    code=result["result_code"],
    receipt=result["mpesa_receipt"],
    amount=result["amount"],
    after=client.stk_query(push).result_code,
)
