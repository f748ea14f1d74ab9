// What the browser's own randomness and hashing give to field sync.

/** A random UUID; crypto.randomUUID is younger than the oldest browser served. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return dashed(hex(bytes.buffer));
}

/** 32 hexadecimal digits as a UUID. @param {string} text */
export function dashed(text) {
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

/** SHA-256 in hexadecimal. @param {ArrayBuffer} data */
export async function digest(data) {
  return hex(await crypto.subtle.digest("SHA-256", data));
}

/** @param {ArrayBuffer | ArrayBufferLike} data */
function hex(data) {
  return [...new Uint8Array(data)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
