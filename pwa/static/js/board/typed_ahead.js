/**
 * Keys do their work in the order in which they were pressed, however fast: what needs a case waits until that is
 * here. A key is either served or refused with a sound and a word, never lost without one.
 */

const MOST = 40; // keys that wait; more than that nobody types ahead on purpose

/**
 * @typedef {object} Work
 * @property {() => Promise<unknown>} [after] what it must wait for, when its turn has come
 * @property {() => unknown} run false where there is nothing that it could do
 */

/** @param {() => void} refuse says that a key came to nothing */
export function typedAhead(refuse) {
  /** @type {Work[]} */
  let queue = [];
  let isWaiting = false;

  /** @param {Work} work */
  function serve(work) {
    if (work.run() !== false) return;
    queue = []; // what was typed after it was meant for what it would have done
    refuse();
  }

  function run() {
    if (isWaiting) return;
    let first = queue[0];
    for (; first && !first.after; first = queue[0]) {
      queue.shift();
      serve(first);
    }
    if (!first?.after) return;
    isWaiting = true;
    void first.after().then(() => {
      isWaiting = false;
      const next = queue.shift();
      if (next) serve(next);
      run();
    });
  }

  return {
    /** @param {Work} work */
    push(work) {
      if (queue.length >= MOST) return refuse();
      queue.push(work);
      run();
    },
    /** Forgets what waits; whoever typed it hears that. */
    drop() {
      if (!queue.length) return;
      queue = [];
      refuse();
    },
  };
}

/** A low note, where the browser lets a page sound. */
export function lowNote() {
  try {
    const audio = new AudioContext();
    const [tone, loudness] = [audio.createOscillator(), audio.createGain()];
    tone.frequency.value = 196;
    loudness.gain.value = 0.08;
    tone.connect(loudness).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.12);
    tone.addEventListener("ended", () => void audio.close());
  } catch {
    // No sound here: the words alone say it.
  }
}
