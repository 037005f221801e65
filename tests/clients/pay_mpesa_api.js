// A payment through mpesa-api, which leaves it to the shop to read the callback.

const { createServer } = require("node:http");
const { Mpesa } = require("mpesa-api");

const line = process.argv[2];
const shop = {
  BusinessShortCode: "174379",
  passKey: "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919",
};

async function main(callbackUrl, callback) {
  const keys = { clientKey: "mpesa-api", clientSecret: "secret" };
  // It insists on a password that only its other APIs use.
  const client = new Mpesa({ ...keys, initiatorPassword: "unused" }, "sandbox");
  const pushed = await client.lipaNaMpesaOnline({
    ...shop,
    // Its own default ends in a blank, which Daraja does not list.
    TransactionType: "CustomerPayBillOnline",
    Amount: 150,
    PartyA: line,
    PartyB: shop.BusinessShortCode,
    PhoneNumber: line,
    CallBackURL: callbackUrl,
    AccountReference: "INV-1",
    TransactionDesc: "Coffee",
  });
  const question = { ...shop, CheckoutRequestID: pushed.CheckoutRequestID };
  const before = await client.lipaNaMpesaQuery(question);
  const result = JSON.parse(await callback).Body.stkCallback;
  const items = Object.fromEntries(
    result.CallbackMetadata.Item.map(({ Name, Value }) => [Name, Value]),
  );
  const after = await client.lipaNaMpesaQuery(question);
  return {
    id: result.CheckoutRequestID,
    pushed: pushed.CheckoutRequestID,
    before: before.ResultCode,
    code: result.ResultCode,
    receipt: items.MpesaReceiptNumber,
    amount: items.Amount,
    after: after.ResultCode,
  };
}

let arrived;
const callback = new Promise((resolve) => (arrived = resolve));
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  response.end();
  arrived(body);
});

server.listen(0, "127.0.0.1", async () => {
  try {
    const url = `http://shop.example.com:${server.address().port}/mpesa/stk/callback`;
    console.log(JSON.stringify(await main(url, callback)));
    process.exit(0);
  } catch (trouble) {
    console.error(trouble);
    process.exit(1);
  }
});
