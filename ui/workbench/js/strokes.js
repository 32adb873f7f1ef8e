// The painted mask as run lengths: known, missing, known, … row by row; LEB128 in base64. ui/workbench/mask_rle.py reads it.

const LONGEST = 2048; // pixels of the painted mask's longest side

function encodeRuns(context, width, height) {
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const bytes = [];
  let missing = 0, start = 0;
  const put = (length) => {
    while (length > 127) { bytes.push((length & 127) | 128); length >>>= 7; }
    bytes.push(length);
  };
  for (let at = 0; at < pixels.length; at++) {
    if (pixels[at] >>> 31 !== missing) { // alpha is the highest byte; from half on it is marked
      put(at - start);
      start = at;
      missing ^= 1;
    }
  }
  put(pixels.length - start);
  return { height, width, runs: toBase64(bytes), share: shareOf(bytes, pixels.length) };
}

// Tells `take` of every run that is marked: its first pixel, counted row by row, and its length.
function eachMarked(bytes, take) {
  let at = 0, missing = false, length = 0, shift = 0;
  for (const byte of bytes) {
    length |= (byte & 127) << shift;
    shift += 7;
    if (byte > 127) continue;
    if (missing && length) take(at, length);
    at += length;
    missing = !missing;
    length = shift = 0;
  }
}

function decodeRuns({ width, height, runs }, context) {
  const picture = context.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  eachMarked(fromBase64(runs), (at, length) => pixels.fill(MARK_PIXEL, at, at + length));
  return picture;
}

function shareOf(bytes, total) {
  let marked = 0;
  eachMarked(bytes, (at, length) => { marked += length; });
  return marked / total;
}

// The bounding box of what is marked, in the mask's own pixels: [left, top, right, bottom].
function boxOfRuns({ width, runs }) {
  const box = [Infinity, Infinity, 0, 0];
  eachMarked(fromBase64(runs), (at, length) => {
    const first = Math.floor(at / width), last = Math.floor((at + length - 1) / width), whole = last > first;
    box[0] = Math.min(box[0], whole ? 0 : at % width);
    box[1] = Math.min(box[1], first);
    box[2] = Math.max(box[2], whole ? width : (at % width) + length);
    box[3] = Math.max(box[3], last + 1);
  });
  return box;
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.slice(at, at + 8192));
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}
