/* Hears that something changed, by a socket that needs the operator's session. */

/** A worker that goes leaves all its pages behind at once. */
const RETURN_MS = 5000;
const GUEST = "unauthorized";

/**
 * client: address of the vendored library.
 * onChanged(ids): of the transactions that changed; none at all stands for any.
 * onEnded(): the session is over, and the socket does not come back.
 */
export async function listen({ client, onChanged, onUp, onDown, onEnded }) {
  const { io } = await import(client);
  const socket = io("/console", {
    transports: ["websocket"],
    reconnectionDelay: RETURN_MS,
    randomizationFactor: 1,
    reconnectionDelayMax: 15_000,
  });
  let ended = false;

  function over() {
    ended = true;
    onEnded();
    socket.disconnect();
  }

  function lost(error) {
    if (ended) return;
    onDown();
    if (error?.message === GUEST) over();
    // The library does not come back by itself where the server ended the line.
    else if (!socket.active) setTimeout(() => socket.connect(), RETURN_MS * (1 + Math.random()));
  }

  socket.on("connect", onUp);
  socket.on("changed", ({ transactions }) => onChanged(transactions.map(([id]) => id)));
  socket.on("ended", over);
  socket.on("disconnect", lost);
  socket.on("connect_error", lost);
}
