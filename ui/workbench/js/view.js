// The canvas: what is seen of photo and mask. Photo coordinates are the target's own pixels; (0, 0) is its corner
// even when it is extended to the left. The mask is painted at a size of its own, `strokes`, and only drawn here.

const stage = part("stage"), photoCanvas = part("photo"), marksCanvas = part("marks");
const photoLayer = photoCanvas.getContext("2d");
// In main memory: a stroke redraws a small part of it, and a graphics card would be sent all of the mask each time.
const marksLayer = marksCanvas.getContext("2d", { willReadFrequently: true });
const strokesCanvas = document.createElement("canvas");
const strokesLayer = strokesCanvas.getContext("2d", { willReadFrequently: true });
const MARGIN = 34; // screen pixels round the photo when all of it is shown; the handles need them
const view = { scale: 1, x: 0, y: 0, width: 0, height: 0, dots: 1, fitted: true };
let softEdge = false; // whether the seam is shown in which the result passes into the photo
let feather = 8; // its width in photo pixels, as the export has it
let liveExtend = null; // while a border is dragged

const extendNow = () => liveExtend ?? state.extend;

// The extended photo: left, top, width, height in photo coordinates.
function frameNow() {
  const [left, top, right, bottom] = extendNow();
  const { width, height } = state.target;
  return { left: -left, top: -top, width: width + left + right, height: height + top + bottom };
}

function toPhoto(event) {
  const box = stage.getBoundingClientRect();
  return { x: (event.clientX - box.left - view.x) / view.scale, y: (event.clientY - box.top - view.y) / view.scale };
}

function resize() {
  const box = stage.getBoundingClientRect();
  if (!box.width || !box.height) return;
  const dots = Math.min(window.devicePixelRatio || 1, 2);
  if (box.width === view.width && box.height === view.height && dots === view.dots) return;
  Object.assign(view, { width: box.width, height: box.height, dots });
  for (const canvas of [photoCanvas, marksCanvas]) {
    canvas.width = Math.round(box.width * dots);
    canvas.height = Math.round(box.height * dots);
  }
  if (view.fitted) fit(); else draw();
}

// The page's other parts stand above and beside; what is left of the window's height is ours.
function fill() {
  if (!root.offsetParent) return;
  const top = root.getBoundingClientRect().top + window.scrollY;
  const below = parseFloat(getComputedStyle(root).getPropertyValue("--wb-below"));
  const room = window.innerHeight - top - (below || 0);
  root.style.height = Math.max(380, room) + "px";
  if (!below) root.style.height = Math.max(380, room - overflow()) + "px";
  resize();
}

// How far what stands below us sticks out of the window, or of a box that hides it.
function overflow() {
  let most = 0;
  for (let box = root.parentElement; box; box = box.parentElement) {
    if (box === document.documentElement || getComputedStyle(box).overflowY !== "visible")
      most = Math.max(most, box.scrollHeight - Math.min(box.clientHeight, window.innerHeight));
  }
  return most;
}

function fit() {
  view.fitted = true;
  if (!state.target || !view.width) return;
  const frame = frameNow();
  const across = (view.width - 2 * MARGIN) / frame.width, down = (view.height - 2 * MARGIN) / frame.height;
  view.scale = Math.min(across, down, 8);
  view.x = (view.width - frame.width * view.scale) / 2 - frame.left * view.scale;
  view.y = (view.height - frame.height * view.scale) / 2 - frame.top * view.scale;
  draw();
}

// Zooms by a factor, keeping the photo's place under (x, y) of the stage where it is.
function zoom(factor, x, y) {
  if (!state.target) return;
  const frame = frameNow();
  const least = Math.min(view.width / frame.width, view.height / frame.height) / 2;
  const scale = Math.min(Math.max(view.scale * factor, Math.min(least, 1)), 32);
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  view.fitted = false;
  draw();
}

function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  view.fitted = false;
  draw();
}

let drawing = 0;

function draw() {
  if (drawing) return;
  drawing = requestAnimationFrame(() => {
    drawing = 0;
    drawPhoto();
    drawMarks();
    placeFrame();
    placeContext();
    moveRing();
    part("zoom").textContent = state.target ? Math.round(view.scale * view.dots * 100) + " %" : "–";
  });
}

function drawPhoto() {
  photoLayer.setTransform(1, 0, 0, 1, 0, 0);
  photoLayer.clearRect(0, 0, photoCanvas.width, photoCanvas.height);
  const { target } = state;
  if (!target) return;
  setView(photoLayer);
  const frame = frameNow();
  photoLayer.fillStyle = getComputedStyle(stage).getPropertyValue("--wb-new");
  photoLayer.fillRect(frame.left, frame.top, frame.width, frame.height);
  if (!target.small) return;
  const close = view.scale * view.dots > (1.05 * target.small.width) / target.width;
  photoLayer.imageSmoothingEnabled = view.scale < 6;
  photoLayer.drawImage((close && target.full) || target.small, 0, 0, target.width, target.height);
  if (draftShown()) drawDraft();
}

// All of the marks, or only what lies in a box {left, top, right, bottom} of photo coordinates.
function drawMarks(box) {
  marksLayer.setTransform(1, 0, 0, 1, 0, 0);
  marksLayer.save();
  if (box) {
    const d = view.dots, left = Math.floor((box.left * view.scale + view.x) * d) - 2;
    const top = Math.floor((box.top * view.scale + view.y) * d) - 2;
    const right = Math.ceil((box.right * view.scale + view.x) * d) + 2;
    const bottom = Math.ceil((box.bottom * view.scale + view.y) * d) + 2;
    marksLayer.beginPath();
    marksLayer.rect(left, top, right - left, bottom - top);
    marksLayer.clip();
  }
  marksLayer.clearRect(0, 0, marksCanvas.width, marksCanvas.height);
  if (state.target && !draftShown()) fillMarks();
  marksLayer.restore();
}

function fillMarks() {
  const { width, height } = state.target, frame = frameNow();
  setView(marksLayer);
  marksLayer.fillStyle = MARK;
  if (state.variants) {
    marksLayer.fillRect(frame.left, frame.top, frame.width, frame.height);
    return;
  }
  if (softEdge && !job) drawSeam(width, height);
  if (strokesCanvas.width > 1) marksLayer.drawImage(strokesCanvas, 0, 0, width, height);
  const [left, top, right, bottom] = extendNow();
  marksLayer.fillRect(-left, -top, frame.width, top);
  marksLayer.fillRect(-left, height, frame.width, bottom);
  marksLayer.fillRect(-left, 0, left, height);
  marksLayer.fillRect(width, 0, right, height);
}

// The seam: the mask's shadow, half of the feather's width around it and blurred over the other half.
function drawSeam(width, height) {
  if (strokesCanvas.width < 2) return;
  marksLayer.shadowColor = MARK;
  marksLayer.shadowBlur = 0.6 * feather * view.scale * view.dots; // shadows are measured in dots of the canvas
  for (let turn = 0; turn < 12; turn++) {
    const angle = (turn * Math.PI) / 6, reach = 0.5 * feather;
    marksLayer.drawImage(strokesCanvas, reach * Math.cos(angle), reach * Math.sin(angle), width, height);
  }
  marksLayer.shadowColor = "transparent";
}

function toggleSoftEdge() {
  softEdge = !softEdge;
  element.querySelector("[data-do=soft-edge]").setAttribute("aria-pressed", String(softEdge));
  if (softEdge) say(feather ? translate("The seam: over {feather} pixels outside the mask the result passes into your photo. “Feather” in Browse changes it.", { feather }) : translate("The seam is hard: “Feather” in Browse is 0."));
  drawMarks();
}

function setView(layer) {
  const d = view.dots;
  layer.setTransform(view.scale * d, 0, 0, view.scale * d, view.x * d, view.y * d);
}

// The mask's own size for a target; painting happens in photo coordinates all the same.
function sizeStrokes() {
  const { width, height } = state.target ?? { width: 1, height: 1 };
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  strokesCanvas.width = Math.max(1, Math.round(width * scale));
  strokesCanvas.height = Math.max(1, Math.round(height * scale));
  strokesLayer.setTransform(strokesCanvas.width / width, 0, 0, strokesCanvas.height / height, 0, 0);
  strokesLayer.lineCap = strokesLayer.lineJoin = "round";
  strokesLayer.strokeStyle = strokesLayer.fillStyle = MARK;
}

function showStrokes() {
  const { strokes } = state;
  strokesLayer.save();
  strokesLayer.setTransform(1, 0, 0, 1, 0, 0);
  strokesLayer.clearRect(0, 0, strokesCanvas.width, strokesCanvas.height);
  if (strokes) {
    const picture = decodeRuns(strokes, strokesLayer);
    if (picture.width === strokesCanvas.width && picture.height === strokesCanvas.height) {
      strokesLayer.putImageData(picture, 0, 0);
    } else { // painted or saved at another size
      const other = document.createElement("canvas");
      other.width = picture.width;
      other.height = picture.height;
      other.getContext("2d").putImageData(picture, 0, 0);
      strokesLayer.drawImage(other, 0, 0, strokesCanvas.width, strokesCanvas.height);
    }
  }
  strokesLayer.restore();
  drawMarks();
}

function showTarget() {
  root.dataset.empty = state.target ? "no" : "yes";
  sizeStrokes();
  showStrokes();
  if (state.target) chooseSize();
  fit();
  draw();
}
