// A shop's server whose client is generated from /openapi.json and nothing else. It prints what it saw.

import createClient from "openapi-fetch";

import type { components, paths, webhooks } from "./api.js";

declare const process: { argv: string[] };

const [, , baseUrl, key, reference] = process.argv as [string, string, string, string, string];
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const asked = { amount: 150, reference, description: "Two coffees" };

const made = await api.POST("/api/orders", {
  body: asked,
  params: { header: { "Idempotency-Key": reference } },
});
if (!made.data) throw new Error(made.error.detail);
const order_id = made.data.order_id;

const read = await api.GET("/api/orders/{order_id}", { params: { path: { order_id } } });
const found = await api.GET("/api/orders", { params: { query: { reference } } });

const wrong = await api.POST("/api/orders", { body: { ...asked, amount: 0 } });
const missing = await api.GET("/api/orders/{order_id}", {
  params: { path: { order_id: "A".repeat(22) } },
});

console.log(
  JSON.stringify({
    made: made.data,
    read: read.data,
    found: found.data?.orders.map((each) => each.order_id),
    wrong: wrong.error && remedy(wrong.error),
    missing: missing.error && remedy(missing.error),
  }),
);

function remedy(problem: components["schemas"]["Problem"]): string[] {
  return [problem.code, problem.type, problem.field ?? ""];
}

// -- what does not compile where the document says less than it should -------

type Message = {
  [Kind in keyof webhooks]: webhooks[Kind]["post"]["requestBody"]["content"]["application/json"];
}[keyof webhooks];

export function toShip(message: Message): string | undefined {
  switch (message.type) {
    case "webhook.test":
    case "receipt.unclaimed":
    case "receipt.returned":
    case "refund.succeeded":
    case "refund.failed":
    case "refund.needs_review":
      return undefined;
  }
  return message.data.order_status === "PAID" ? message.data.order_id : undefined;
}

export async function claim(message: Message): Promise<string | null | undefined> {
  if (message.type !== "receipt.unclaimed") return undefined;
  const { receipt, suggestions } = message.data;
  const order_id = suggestions[0];
  if (order_id === undefined) return undefined;
  const claimed = await api.POST("/api/receipts/{receipt}/claim", {
    params: { path: { receipt } },
    body: { order_id, accept_amount: true, reason: "A discount." },
  });
  return claimed.error?.code === "order_paid" ? null : claimed.data?.transaction_id;
}

export async function misuses(): Promise<void> {
  // @ts-expect-error: an amount is a number
  await api.POST("/api/orders", { body: { ...asked, amount: "150" } });
  // @ts-expect-error: a reference is asked for
  await api.GET("/api/orders");
  // @ts-expect-error: there is no such route
  await api.GET("/api/payments");
  // @ts-expect-error: an order has no such status
  if (read.data?.status === "SHIPPED") return;
  // @ts-expect-error: a receipt has no such state
  await api.GET("/api/receipts", { params: { query: { state: "lost" } } });
  // @ts-expect-error: this answer never has this code
  if (missing.error?.code === "order_paid") return;
}
