// Some browsers never answer: no error, no end. What a person waits for ends all the same.

/** No answer came in time. It may still come. */
export class Late extends Error {}

/** The answer, or Late after so many ms. @template T @param {Promise<T>} answer @param {number} ms @returns {Promise<T>} */
export function within(answer, ms) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Late("no answer")), ms);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** So long a line may say nothing of what goes up or comes: then it is dead. A slow one may take any time. */
const SILENCE_MS = 60_000;

/** Aborts a request that was sent once its line is silent. @param {XMLHttpRequest} xhr */
export function endSilent(xhr) {
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => xhr.abort(), SILENCE_MS);
  };
  for (const way of [xhr.upload, xhr]) way.addEventListener("progress", heard);
  xhr.addEventListener("loadend", () => clearTimeout(timer));
  heard();
}
