/* Sends a press of Pay. One press keeps one Idempotency-Key, however often the network makes it repeat. */
import { shown } from "./shown.js";

/**
 * Posts JSON to our server. Returns {answer, serverTime, status, retryAfter}; `answer` is null where
 * no JSON came, `status` 0 where nothing came at all. Times in ms and s; serverTime null where none was told.
 */
export async function post(url, fields, headers = {}) {
  let response;
  let answer;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", ...headers },
      body: JSON.stringify(fields),
      // The server's own limit for a push is 20 s.
      signal: AbortSignal.timeout?.(40_000),
    });
    answer = await response.json().catch(() => null);
  } catch {
    return { answer: null, serverTime: null, status: 0, retryAfter: 0 };
  }
  return {
    answer,
    serverTime: Date.parse(response.headers.get("Date")) || null,
    status: response.status,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  };
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function keyFor(orderId, phone) {
  const fields = JSON.stringify([orderId, phone]);
  if (shown.press?.fields !== fields) shown.press = { fields, key: newKey() };
  return shown.press.key;
}

/**
 * Returns {snapshot, serverTime} once the push was taken, or {problem, retryAfter} with problem.code
 * "no-network" where nothing was sent, "network" where nothing was answered: the next press then
 * repeats the same key.
 */
export async function pay({ url, orderId, phone }) {
  if (!navigator.onLine) return { problem: { code: "no-network" }, retryAfter: 0 };
  const headers = { "Idempotency-Key": keyFor(orderId, phone) };
  const { answer, serverTime, status, retryAfter } = await post(url, { order_id: orderId, phone }, headers);
  const taken = status >= 200 && status < 300;
  // An answer that broke off says nothing: the next press repeats the key.
  if (!status || (taken && !answer)) return { problem: { code: "network" }, retryAfter: 0 };
  // A 5xx may hide a push that went out, so its key stays; a 4xx used up none.
  if (status < 500) shown.press = null;
  if (taken) return { snapshot: answer, serverTime };
  return { problem: answer?.code ? answer : { code: "unavailable" }, retryAfter };
}
