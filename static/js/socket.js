/* The live line: a Socket.IO client in the room of one transaction. */

/**
 * client: address of the vendored library, loaded only now because most page views never wait.
 * Returns close(). A socket that never comes up is no error: polling carries the page.
 */
export function openSocket({ client, txId, lang, onSnapshot, onUp, onDown }) {
  let socket = null;
  let closed = false;

  import(client).then(({ io }) => {
    if (closed) return;
    socket = io({
      transports: ["websocket"],
      auth: { tx_id: txId, lang },
      reconnectionDelayMax: 15_000,
    });
    socket.on("connect", onUp);
    socket.on("disconnect", onDown);
    socket.on("connect_error", onDown);
    socket.on("status", onSnapshot);
  }, onDown);

  return function close() {
    closed = true;
    socket?.disconnect();
  };
}
