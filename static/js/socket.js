/* The live line: a Socket.IO client in the room of one transaction. */

/** The library does not try again by itself where the server ended the line; jitter spreads a worker's leavers. */
const RETURN_MS = 5000;
const UNKNOWN = "transaction_not_found";

/**
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
