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
