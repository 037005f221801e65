/* Sends a press of Pay. One press keeps one Idempotency-Key, however often the network makes it repeat. */

let press = null;

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function keyFor(orderId, phone) {
  const fields = JSON.stringify([orderId, phone]);
  if (press?.fields !== fields) press = { fields, key: newKey() };
  return press.key;
}

/**
 * Returns {snapshot, serverTime} once the push was taken, or {problem, retryAfter} with
 * problem.code "network" when nothing was answered (the next press then repeats the same key).
 */
export async function pay({ url, orderId, phone }) {
  let response;
  let answer;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Accept: "application/json",
        "Idempotency-Key": keyFor(orderId, phone),
      },
      body: JSON.stringify({ order_id: orderId, phone }),
      // The server's own limit for a push is 20 s.
      signal: AbortSignal.timeout?.(40_000),
    });
    answer = await response.json().catch(() => null);
  } catch {
    return { problem: { code: "network" }, retryAfter: 0 };
  }
  // An answer that broke off says nothing: the next press repeats the key.
  if (response.ok && !answer) return { problem: { code: "network" }, retryAfter: 0 };
  if (response.ok) {
    press = null;
    return { snapshot: answer, serverTime: Date.parse(response.headers.get("Date")) || null };
  }
  // A 5xx may hide a push that went out, so its key stays; a 4xx used up none.
  if (response.status < 500) press = null;
  return {
    problem: answer?.code ? answer : { code: "unavailable" },
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  };
}
