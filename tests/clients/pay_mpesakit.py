"""A payment through mpesakit."""

import json

from mpesakit import MpesaClient
from shop import PASSKEY, SHORTCODE, Shop, tell

shop = Shop()
client = MpesaClient(consumer_key="mpesakit", consumer_secret="secret")


def asked():
    return client.express.query(
        business_short_code=int(SHORTCODE), checkout_request_id=push, passkey=PASSKEY
    )


push = client.express.push(
    business_short_code=int(SHORTCODE),
    transaction_type="CustomerPayBillOnline",
    amount=150,
    party_a=shop.line,
    party_b=SHORTCODE,
    phone_number=shop.line,
    callback_url=shop.callback_url,
    account_reference="INV-1",
    transaction_desc="Coffee",
    passkey=PASSKEY,
).CheckoutRequestID
before = asked()
result = client.process_stk_callback(json.loads(shop.callback())).Body.stkCallback
items = {item.Name: item.Value for item in result.CallbackMetadata.Item}
tell(
    id=result.CheckoutRequestID,
    pushed=push,
    before=before.ResultCode,
    code=result.ResultCode,
    receipt=items["MpesaReceiptNumber"],
    amount=items["Amount"],
    after=asked().ResultCode,
)
