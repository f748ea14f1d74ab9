// How a phone speaks to the city: four requests, none of which follows a redirect or waits for ever.

/** @typedef {import("./engine.js").Net} Net */

const ROOT = "/sync/v1";
const PATIENCE = 30_000;

/** @type {Net} */
export const net = {
  async enrol(code, attempt) {
    if (code === undefined) return reply(await send("POST", "/device"));
    return reply(await send("POST", "/enrol", { "Content-Type": "application/json" }, JSON.stringify({ code, attempt })));
  },
  async exchange(body) {
    const text = JSON.stringify(body);
    const packed = text.length > 200 ? await gzipped(text) : null;
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": "application/json" };
    if (packed) headers["Content-Encoding"] = "gzip";
    return reply(await send("POST", "/exchange", headers, packed ?? text));
  },
  async piece(shot, offset, data) {
    const last = offset + data.byteLength === shot.bytes;
    const answer = await send(
      "PATCH",
      `/photos/${shot.id}`,
      {
        "Content-Type": "application/partial-upload",
        "Upload-Offset": String(offset),
        "Upload-Length": String(shot.bytes),
        "Upload-Complete": last ? "?1" : "?0",
        "Repr-Digest": `sha-256=:${base64(shot.sha256)}:`,
      },
      data,
    );
    const { json, ...rest } = reply(answer);
    return { ...rest, fault: String(json?.error ?? ""), ...progress(answer.response) };
  },
};

/** A name for a phone that nobody is signed in on. */
export async function beginResident() {
  return reply(await send("POST", "/resident"));
}

/**
 * A request with its answer's body, which may stop half-way too.
 * @param {string} method
 * @param {string} path
 * @param {Record<string, string>} [headers]
 * @param {BodyInit} [body]
 */
async function send(method, path, headers = {}, body) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE);
  const hidden = () => stop.abort();
  window.addEventListener("pagehide", hidden);
  try {
    const response = await fetch(ROOT + path, {
      method,
      body: body ?? null,
      headers: { ...headers, "X-Cityline": "1" },
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: stop.signal,
    });
    const json = await read(response);
    stop.signal.throwIfAborted?.();
    return { response, json };
  } finally {
    clearTimeout(timer);
    window.removeEventListener("pagehide", hidden);
  }
}

/** A hotel's log-in page comes with 200 too: only JSON is ours. @param {Response} response */
async function read(response) {
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) return null;
  try {
    return await response.json();
  } catch {
    return null; // cut off on the way
  }
}

/** @param {{ response: Response, json: any }} answer @returns {import("./engine.js").Reply} */
function reply({ response, json }) {
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  return { status: response.status, json, ...(retryAfter ? { retryAfter } : {}) };
}

/** @param {Response} response */
function progress(response) {
  return {
    offset: Number(response.headers.get("Upload-Offset") ?? 0),
    complete: response.headers.get("Upload-Complete") === "?1",
  };
}

/** @param {string} text @returns {Promise<ArrayBuffer | null>} */
async function gzipped(text) {
  if (!("CompressionStream" in window)) return null;
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** @param {string} hex */
function base64(hex) {
  const bytes = hex.match(/../g) ?? [];
  return btoa(String.fromCharCode(...bytes.map((byte) => parseInt(byte, 16))));
}
