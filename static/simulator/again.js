// Runs a look at the server so that looks never overlap and none that was asked for is missed.

/** Returns a function that runs `look`, and once more after it if it was asked for meanwhile. */
export function oneAtATime(look) {
  let running = null;
  let isStale = false;

  async function run() {
    try {
      while (isStale) {
        isStale = false;
        await look();
      }
    } finally {
      running = null;
    }
  }

  return () => {
    isStale = true;
    running ??= run();
    return running;
  };
}

/** Returns a function that calls `action` at most once in `wait` milliseconds. */
export function atMostEvery(wait, action) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      action();
    }, wait);
  };
}
