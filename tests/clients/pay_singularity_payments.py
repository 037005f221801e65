"""A payment through singularity-payments."""

import asyncio
import json

from shop import PASSKEY, SHORTCODE, Shop, tell
from singularity_payments import (
    MpesaClient,
    MpesaConfig,
    STKCallback,
    STKPushRequest,
    TransactionStatusRequest,
)


async def main():
    shop = Shop()
    client = MpesaClient(
        MpesaConfig(
            consumer_key="singularity-payments",
            consumer_secret="secret",
            passkey=PASSKEY,
            short_code=SHORTCODE,
            environment="sandbox",
        )
    )
    pushed = await client.stk_push(
        STKPushRequest(
            amount=150,
            phone_number=shop.line,
            account_reference="INV-1",
            transaction_desc="Coffee",
            callback_url=shop.callback_url,
        )
    )
    question = TransactionStatusRequest(checkout_request_id=pushed.checkout_request_id)
    before = await client.stk_query(question)
    body = json.loads(await asyncio.to_thread(shop.callback))
    result = await client.parse_stk_callback(STKCallback.model_validate(body))
    after = await client.stk_query(question)
    tell(
        id=result.checkout_request_id,
        pushed=pushed.checkout_request_id,
        before=before.result_code,
        code=result.result_code,
        receipt=result.mpesa_receipt_number,
        amount=result.amount,
        after=after.result_code,
    )


asyncio.run(main())
