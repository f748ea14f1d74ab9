// Makes a photo small enough for a phone's network, on the phone. Knows nothing of the page.

const EDGE = 2048;
const THUMB = 160;
const MOST_BYTES = 400_000;
const FINE = 0.82;
const PLAIN = 0.65;
const PATIENCE = 15_000;

/**
 * The photo as a JPEG of at most 400 KB and 2048 px, upright, without metadata. A photo that this
 * browser cannot open in time stays as it is: the server may be able to.
 * @param {File} file
 * @returns {Promise<File>}
 */
export async function shrink(file) {
  try {
    const blob = await small(file, EDGE, light);
    return blob.size < file.size || file.type !== "image/jpeg"
      ? new File([blob], name(file), { type: "image/jpeg" })
      : file;
  } catch {
    return file;
  }
}

/**
 * Whether it is a HEIC or AVIF, which the city can read although many browsers cannot; by content, since phones
 * that do not know them give no type.
 * @param {Blob} file
 */
export async function isHeic(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(4, 12).arrayBuffer()));
  return /^ftyp(hei[cmsx]|mif1|avi[fs])/.test(head);
}

/**
 * The photo as small as a list shows it, a few KB; undefined where this browser cannot open it.
 * @param {File} file
 * @returns {Promise<ArrayBuffer | undefined>}
 */
export async function thumbnail(file) {
  try {
    const blob = await small(file, THUMB, (canvas) => jpeg(canvas, PLAIN));
    return await blob.arrayBuffer();
  } catch {
    return undefined;
  }
}

/** Rejects where the browser never answers.
 * @param {File} file @param {number} edge @param {(canvas: HTMLCanvasElement) => Promise<Blob>} packed
 * @returns {Promise<Blob>} */
function small(file, edge, packed) {
  return new Promise((resolve, reject) => {
    setTimeout(reject, PATIENCE);
    opened(file).then((picture) => {
      const canvas = drawn(picture, edge);
      picture.close();
      return packed(canvas);
    }).then(resolve, reject);
  });
}

/**
 * @param {File} file
 * @returns {Promise<ImageBitmap>}
 */
async function opened(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return await createImageBitmap(file); // older browsers refuse the option, and turn the picture anyway
  }
}

/**
 * @param {ImageBitmap | HTMLCanvasElement} picture
 * @param {number} edge
 */
function drawn(picture, edge) {
  const scale = Math.min(1, edge / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("no canvas");
  pen.fillStyle = "#fff"; // what was transparent becomes white, as on the server
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/**
 * Light enough in few tries: first lower quality, then as many fewer pixels as the size calls for.
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>}
 */
async function light(canvas) {
  let blob = await jpeg(canvas, FINE);
  for (let edge = EDGE, tries = 0; blob.size > MOST_BYTES && tries < 5; tries++) {
    if (tries) edge = Math.floor(edge * Math.sqrt(MOST_BYTES / blob.size) * 0.95);
    blob = await jpeg(tries ? drawn(canvas, edge) : canvas, PLAIN);
  }
  return blob;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} quality
 * @returns {Promise<Blob>}
 */
function jpeg(canvas, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no JPEG"))), "image/jpeg", quality);
  });
}

/** @param {File} file */
function name(file) {
  return `${file.name.replace(/\.\w+$/, "") || "photo"}.jpg`;
}
