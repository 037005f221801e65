/* Posts JSON to our server. */

/**
 * Returns {answer, serverTime, status, retryAfter}; `answer` is null where no JSON came,
 * `status` 0 where nothing came at all. Times in ms and s; serverTime null where none was told.
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
