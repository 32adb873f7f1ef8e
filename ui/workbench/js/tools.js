// Brush, eraser, rectangle and lasso, by mouse, pen, fingers and keys.

const ring = part("ring"), outline = part("outline");
let tool = "brush", size = 100; // size: diameter in photo pixels
let job = null; // what is being drawn: {tool, erase, path: [points], changed}
let lastPoint = null, hovering = false, spaceDown = false, panning = null, pinch = null;
const fingers = new Map();
const POINT = 6; // screen pixels: a smaller box is a point
let grownTold = false; // why what was pointed at is marked larger than it is
let hand = null; // the keyboard's place on the canvas, in screen pixels of the stage
let ringAt = null;

function choose(name) {
  cancelTool();
  tool = name;
  for (const button of element.querySelectorAll("[data-tool]"))
    button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  stage.dataset.using = name;
  moveRing();
}

// The slider's 0..100 are spread evenly over sizes from 0.2 % to 50 % of the photo's longest side.
function longestSide() { return Math.max(state.target.width, state.target.height); }
function sizeOf(slider) { return longestSide() * 0.002 * Math.pow(250, slider / 100); }

function setSize(wanted) {
  if (!state.target) return;
  size = Math.min(Math.max(wanted, 1, longestSide() * 0.002), longestSide() / 2);
  part("size").value = Math.round((100 * Math.log(size / (longestSide() * 0.002))) / Math.log(250));
  part("size-text").textContent = Math.round(size) + " px";
  moveRing();
}

function chooseSize() { setSize(longestSide() * 0.05); }
function smaller() { setSize(Math.min(size / 1.15, size - 1)); }
function larger() { setSize(Math.max(size * 1.15, size + 1)); }

// ── one tool at work ──

function begin(at, erase, name) {
  if (state.variants) {
    say(translate("Everything is filled in, so there is nothing to mark. Choose “What I mark” to paint."));
    return;
  }
  job = { tool: name, erase, path: [at], changed: false };
  if (draftOn) draw(); // the marks come back
  if (name === "brush") line(at, at); else sketch();
}

function extendJob(at) {
  const last = job.path[job.path.length - 1];
  if (isBox(job)) job.path[1] = at; else job.path.push(at);
  if (job.tool === "brush") line(last, at); else sketch();
}

function end() {
  const finished = job;
  job = null;
  sketch();
  if (draftOn) draw();
  if (!finished) return;
  if (finished.tool === "object") return markObject(finished);
  if (finished.tool !== "brush") fillArea(finished);
  lastPoint = finished.path[finished.path.length - 1];
  if (finished.changed) commitStrokes();
}

function cancelTool() {
  if (!job) return;
  const painted = job.changed;
  job = null;
  sketch();
  if (draftOn) draw();
  if (painted) showStrokes();
}

function commitStrokes() {
  commit({ strokes: encodeRuns(strokesLayer, strokesCanvas.width, strokesCanvas.height), mask: null });
}

function mode(erase) {
  strokesLayer.globalCompositeOperation = erase ? "destination-out" : "source-over";
}

function line(from, to) {
  mode(job.erase);
  strokesLayer.lineWidth = size;
  strokesLayer.beginPath();
  strokesLayer.moveTo(from.x, from.y);
  strokesLayer.lineTo(to.x + (from === to ? 1e-3 : 0), to.y);
  strokesLayer.stroke();
  mode(false);
  job.changed = true;
  const half = size / 2;
  drawMarks({
    left: Math.min(from.x, to.x) - half, top: Math.min(from.y, to.y) - half,
    right: Math.max(from.x, to.x) + half, bottom: Math.max(from.y, to.y) + half,
  });
}

function corners(drawn) {
  if (!isBox(drawn)) return drawn.path;
  const [a, b] = drawn.path.length > 1 ? drawn.path : [drawn.path[0], drawn.path[0]];
  return [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }];
}

function fillArea(drawn) {
  const points = drawn.tool === "rectangle" ? corners(drawn).map(wholePixel) : drawn.path;
  if (drawn.path.length < (drawn.tool === "rectangle" ? 2 : 3)) return;
  mode(drawn.erase);
  strokesLayer.beginPath();
  for (const point of points) strokesLayer.lineTo(point.x, point.y);
  strokesLayer.closePath();
  strokesLayer.fill();
  mode(false);
  drawn.changed = true;
}

function isBox(drawn) { return drawn.tool === "rectangle" || drawn.tool === "object"; }

// The thing in a box, or at a point, is found by the server, and marked or unmarked.
async function markObject(drawn) {
  const [a, , b] = corners(drawn).map(wholePixel), { target } = state;
  if (!target.path) return say(translate("The photo is still on its way; point again in a moment."));
  let box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
  if (Math.max(box[2] - box[0], box[3] - box[1]) * view.scale < POINT) box = [a.x, a.y, a.x, a.y];
  say(translate("Looking for the thing there…"));
  const answer = await trying(ask("mark_object", { target: target.path, box }));
  if (answer.error) return say(answer.error, "bad");
  if (state.target !== target) return;
  paintStrokes(answer.strokes, drawn.erase);
  if (drawn.erase || grownTold) return hush();
  grownTold = true;
  const grown = translate("Marked a little larger than it is, since shadows and halos betray a removal. “Shrink the mask” takes that back.");
  const better = translate("SAM 2.1 marks whole things at a point: fetch it under “Models and machine”, 156 MB.");
  say(answer.by === "sam" ? grown : grown + " " + better);
}

// What is marked roughly is fitted to the edges of what lies under it.
async function fitMarks() {
  const { target, strokes } = state;
  if (!target || state.variants) return;
  if (!shareIn(strokes)) return say(translate("Nothing is marked yet; paint over the thing roughly, then fit the mask to its edges."));
  if (!target.path) return say(translate("The photo is still on its way; try again in a moment."));
  say(translate("Looking for the edges…"));
  const answer = await trying(ask("fit_marks", { scene: wire() }));
  if (answer.error) return say(answer.error, "bad");
  if (state.target !== target || state.strokes !== strokes) return hush(); // painted meanwhile
  commit({ strokes: answer.strokes, mask: null });
  say(translate("Fitted to the edges, and a little larger. Ctrl+Z takes it back."));
}

// Lays strokes that the server found over those that are there, or takes them away.
function paintStrokes(strokes, erase) {
  const layer = document.createElement("canvas");
  Object.assign(layer, { width: strokes.width, height: strokes.height });
  layer.getContext("2d").putImageData(decodeRuns(strokes, layer.getContext("2d")), 0, 0);
  mode(erase);
  strokesLayer.drawImage(layer, 0, 0, state.target.width, state.target.height);
  mode(false);
  commitStrokes();
  drawMarks();
}

// Grows what is marked by half a percent of the photo's side; what is not marked grows into it where it shrinks.
function growMarks(shrinks) {
  if (!state.target || state.variants || !shareIn(state.strokes)) return;
  const reach = longestSide() * 0.005, { width, height } = state.target;
  const copy = document.createElement("canvas");
  Object.assign(copy, { width: strokesCanvas.width, height: strokesCanvas.height });
  const swap = () => { // marked and not marked
    strokesLayer.globalCompositeOperation = "xor";
    strokesLayer.fillRect(0, 0, width, height);
    mode(false);
  };
  if (shrinks) swap();
  copy.getContext("2d").drawImage(strokesCanvas, 0, 0);
  for (let turn = 0; turn < 24; turn++) {
    const angle = (turn * Math.PI) / 12;
    strokesLayer.drawImage(copy, reach * Math.cos(angle), reach * Math.sin(angle), width, height);
  }
  if (shrinks) swap();
  commitStrokes();
  drawMarks();
}

function wholePixel(point) {
  return { x: Math.round(point.x), y: Math.round(point.y) };
}

// The area that is being drawn, as an outline on the screen.
function sketch() {
  const shown = job && job.tool !== "brush" ? corners(job) : [];
  outline.setAttribute("points", shown.map((p) => p.x * view.scale + view.x + "," + (p.y * view.scale + view.y)).join(" "));
}

function invert() {
  if (!state.target || state.variants) return;
  strokesLayer.save();
  strokesLayer.globalCompositeOperation = "xor";
  strokesLayer.fillRect(0, 0, state.target.width, state.target.height);
  strokesLayer.restore();
  commitStrokes();
  drawMarks();
}

function clearMarks() {
  if (state.target && state.strokes) commit({ strokes: null, mask: null });
}

// ── the pointer ──

function pointerDown(event) {
  if (!state.target || event.target.closest(".handle, .message")) return;
  stage.dataset.by = "pointer";
  stage.focus({ preventScroll: true });
  hand = null;
  stage.setPointerCapture(event.pointerId);
  if (event.pointerType === "touch") {
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size > 1) return beginPinch();
  }
  if (event.button === 1 || spaceDown) {
    event.preventDefault();
    panning = { x: event.clientX, y: event.clientY };
    stage.dataset.panning = "yes";
    return;
  }
  if (job || (event.button !== 0 && event.button !== 2 && event.button !== 5)) return;
  const erase = event.button === 2 || event.button === 5 || tool === "eraser"; // 5: the other end of a pen
  const at = toPhoto(event);
  begin(at, erase, tool === "eraser" ? "brush" : tool);
  if (job?.tool === "brush" && event.shiftKey && lastPoint) { line(lastPoint, at); }
}

function pointerMove(event) {
  showPointer(event);
  if (fingers.has(event.pointerId)) {
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pinch) return movePinch();
  }
  if (panning) {
    pan(event.clientX - panning.x, event.clientY - panning.y);
    panning = { x: event.clientX, y: event.clientY };
    return;
  }
  if (!job) return;
  const steps = event.getCoalescedEvents?.() ?? [];
  for (const one of steps.length ? steps : [event]) extendJob(toPhoto(one));
}

function pointerUp(event) {
  fingers.delete(event.pointerId);
  if (pinch) { if (!fingers.size) pinch = null; return; }
  if (panning) {
    panning = null;
    delete stage.dataset.panning;
    return;
  }
  if (event.type === "pointercancel") cancelTool(); else if (job && !hand) end();
}

function beginPinch() {
  cancelTool();
  pinch = pinchNow();
}

function pinchNow() {
  const [a, b] = [...fingers.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
}

function movePinch() {
  if (fingers.size < 2) return;
  const now = pinchNow(), box = stage.getBoundingClientRect();
  pan(now.x - pinch.x, now.y - pinch.y);
  zoom(now.apart / pinch.apart, now.x - box.left, now.y - box.top);
  pinch = now;
}

function wheel(event) {
  if (!state.target) return;
  event.preventDefault();
  const turned = (event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 16 : 1);
  if (event.altKey) return turned < 0 ? larger() : smaller();
  const box = stage.getBoundingClientRect();
  zoom(Math.exp(-turned * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
}

function showPointer(event) {
  const box = stage.getBoundingClientRect();
  ringAt = { x: event.clientX - box.left, y: event.clientY - box.top };
  moveRing();
  if (!state.target) return;
  const at = toPhoto(event);
  part("pointer").textContent = Math.floor(at.x) + ", " + Math.floor(at.y);
}

function moveRing() {
  const round = tool === "brush" || tool === "eraser";
  ring.hidden = !ringAt || !state.target || state.variants || (!hovering && !hand) || (!round && !hand);
  if (ring.hidden) return;
  const across = round ? Math.max(4, size * view.scale) : 10;
  ring.style.width = ring.style.height = across + "px";
  ring.style.transform = "translate(" + (ringAt.x - across / 2) + "px," + (ringAt.y - across / 2) + "px)";
}

// ── keys ──

function isText(node) {
  return node?.closest?.("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
}

const KEYS = {
  b: () => choose("brush"), e: () => choose("eraser"), r: () => choose("rectangle"), l: () => choose("lasso"), o: () => choose("object"),
  g: fitMarks, s: toggleSoftEdge, x: toggleContext,
  "[": smaller, "]": larger, f: fit, i: invert, d: toggleDraft, c: toggleTrust, "?": () => part("help").showModal(),
  "+": () => zoom(1.25, view.width / 2, view.height / 2), "=": () => zoom(1.25, view.width / 2, view.height / 2),
  "-": () => zoom(0.8, view.width / 2, view.height / 2), escape: () => { cancelTool(); hush(); },
};

function keyDown(event) {
  if (!root.offsetParent || isText(event.target) || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && !event.altKey && (key === "z" || key === "y")) {
    event.preventDefault();
    return key === "y" || event.shiftKey ? redo() : undo();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const here = document.activeElement === stage;
  delete stage.dataset.by;
  if (key === " " && (hovering || here)) {
    event.preventDefault();
    spaceDown = true;
    stage.dataset.space = "yes";
  } else if (here && (key.startsWith("arrow") || key === "enter")) handKey(event, key);
  else if (key in KEYS) {
    event.preventDefault();
    KEYS[key]();
  }
}

function keyUp(event) {
  if (event.key !== " " || !spaceDown) return;
  event.preventDefault(); // or it would press the button that has the focus
  spaceDown = false;
  delete stage.dataset.space;
}

// The whole way without a pointer: arrows move, Enter puts the tool down and lifts it.
function handKey(event, key) {
  if (!state.target) return;
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  hand ??= ringAt ?? { x: view.width / 2, y: view.height / 2 };
  const far = event.shiftKey ? 60 : 12;
  if (key === "arrowleft") hand.x -= far;
  if (key === "arrowright") hand.x += far;
  if (key === "arrowup") hand.y -= far;
  if (key === "arrowdown") hand.y += far;
  hand = { x: Math.min(Math.max(hand.x, 0), view.width), y: Math.min(Math.max(hand.y, 0), view.height) };
  const at = toPhoto({ clientX: hand.x + box.left, clientY: hand.y + box.top });
  if (key === "enter") { if (job) end(); else begin(at, tool === "eraser", tool === "eraser" ? "brush" : tool); }
  else if (job) extendJob(at);
  ringAt = hand;
  moveRing();
}
