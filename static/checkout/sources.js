/* Where news of a transaction comes from: polls, the socket, and the order's page itself. */

/** A request that hangs for longer is lost. */
const PATIENCE_MS = 15_000;

/** Reads an address; `found` is what `parse` makes of the text of a 200. Rejects where nothing whole came. */
async function read(address, accept, etag, parse) {
  const response = await fetch(address, {
    cache: "no-store",
    headers: { Accept: accept, ...(etag && { "If-None-Match": etag }) },
    signal: AbortSignal.timeout?.(PATIENCE_MS),
  });
  const { status, headers } = response;
  return {
    status,
    found: status === 200 ? parse(await response.text()) : null,
    etag: headers.get("ETag"),
    retryAfter: Number(headers.get("Retry-After")) || 0,
    serverTime: Date.parse(headers.get("Date")) || null,
  };
}

/**
 * Asks /check-status, one question at a time, when the caller's `pause()` says so.
 * address: what to ask; pause(): ms until the next question; onSnapshot(snapshot, serverTime in ms or null);
 * onOutcome("answer" | "no-answer"); onGone(): the server knows no such transaction.
 * Returns {reschedule, ask, stop}.
 */
export function poll({ address, pause, onSnapshot, onOutcome, onGone }) {
  let timer = null;
  let asking = false;
  let stopped = false;
  let etag = null;
  let heldBackUntil = 0;

  function reschedule() {
    clearTimeout(timer);
    if (stopped || asking) return;
    timer = setTimeout(ask, Math.max(pause(), heldBackUntil - Date.now()));
  }

  async function ask() {
    clearTimeout(timer);
    if (stopped || asking) return;
    asking = true;
    const answer = await read(address, "application/json", etag, JSON.parse).catch(() => null);
    if (!stopped) take(answer);
    asking = false;
    reschedule();
  }

  function take(answer) {
    if (!answer) return onOutcome("no-answer");
    if (answer.retryAfter > 0) heldBackUntil = Date.now() + answer.retryAfter * 1000;
    if (answer.status === 404) return onGone();
    onOutcome(answer.found || answer.status === 304 ? "answer" : "no-answer");
    if (!answer.found) return;
    etag = answer.etag;
    onSnapshot(answer.found, answer.serverTime);
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
  }

  return { reschedule, ask, stop };
}

/** The library does not try again by itself where the server ended the line; jitter spreads a worker's leavers. */
const RETURN_MS = 5000;
const UNKNOWN = "transaction_not_found";

/**
 * Opens the live line: a Socket.IO client in the room of one transaction.
 * client: address of the vendored library, loaded only now because most page views never wait.
 * Returns close(). A socket that never comes up is no error: polling carries the page.
 */
export function openSocket({ client, txId, lang, onSnapshot, onUp, onDown }) {
  let socket = null;
  let timer = null;
  let closed = false;

  function lost(error) {
    onDown();
    if (closed || socket.active || error?.message === UNKNOWN) return;
    clearTimeout(timer);
    timer = setTimeout(() => socket.connect(), RETURN_MS * (1 + Math.random()));
  }

  import(client).then(({ io }) => {
    if (closed) return;
    socket = io({
      transports: ["websocket"],
      auth: { tx_id: txId, lang },
      // Anywhere within 15 s: a worker that goes leaves thousands of pages behind at once.
      reconnectionDelay: 7500,
      randomizationFactor: 1,
      reconnectionDelayMax: 15_000,
    });
    socket.on("connect", onUp);
    socket.on("disconnect", lost);
    socket.on("connect_error", lost);
    socket.on("status", onSnapshot);
  }, onDown);

  return function close() {
    closed = true;
    clearTimeout(timer);
    socket?.disconnect();
  };
}

/**
 * What the order's page says by now, {view, snapshot or null, page, etag, serverTime in ms or null}, `page` being
 * its document;
 * null where nothing is new, or there is no network.
 */
export async function readPage(etag) {
  const address = `${location.pathname}?lang=${document.documentElement.lang}`;
  // Without a network now: the next look may have one.
  const answer = await read(address, "text/html", etag, stageOf).catch(() => null);
  return answer?.found ? { ...answer.found, etag: answer.etag, serverTime: answer.serverTime } : null;
}

function stageOf(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const { view, snapshot } = page.getElementById("stage").dataset;
  return { view, snapshot: snapshot ? JSON.parse(snapshot) : null, page };
}
