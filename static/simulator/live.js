// Hears of changes: through the socket, or by looking every two seconds while there is none.

const POLL_EVERY = 2000;
const POLL_WHILE_LIVE = 10000; // a look that failed must not leave the phone behind

/**
 * Calls onChange(msisdn or null for all) whenever a phone should look again, and onState with
 * "live", "polling" or "gone". `look` is what polling does; it rejects while the server is away.
 */
export async function listen({ onChange, onState, look }) {
  let isLive = false;
  let timer = 0;

  async function poll() {
    clearTimeout(timer);
    try {
      await look();
      if (!isLive) onState("polling");
    } catch {
      if (!isLive) onState("gone");
    }
    timer = setTimeout(poll, isLive ? POLL_WHILE_LIVE : POLL_EVERY);
  }

  document.addEventListener("visibilitychange", () => document.hidden || onChange(null));
  poll();
  try {
    const { io } = await import(document.body.dataset.socketClient);
    const socket = io("/simulator", { transports: ["websocket"] });
    socket.on("connect", () => {
      isLive = true;
      onState("live");
      // What happened between the last look and the connection would otherwise be missed.
      onChange(null);
    });
    socket.on("changed", ({ msisdn }) => onChange(msisdn));
    socket.on("disconnect", () => {
      isLive = false;
      poll();
    });
  } catch {
    // No client script or no WebSocket: polling goes on.
  }
}
