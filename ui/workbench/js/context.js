// What the model will see around the mask: a box over the canvas, dragged by its corners. How the box comes about only
// the server knows; here are the hole, and what the form says: {context, size, multiple}.

const contextBox = part("context"), contextSays = part("context-says"), contextSwitch = element.querySelector("[data-do=context]");
const contextCorners = [...element.querySelectorAll("[data-corner]")];
const MOST_CONTEXT = 8;
let fitNow = null; // as the form has it; null until the page has told
let contextOn = false, liveContext = null; // liveContext: while a corner is dragged
let framed = null, framing = false; // framed: {of, box, width, height, enlargement}

const contextNow = () => liveContext ?? fitNow.context;

function takeFit(fit) {
  feather = fit.feather;
  fitNow = fit;
  askContext();
  if (softEdge) drawMarks();
}

function toggleContext() {
  contextOn = !contextOn && Boolean(state.target);
  contextSwitch.setAttribute("aria-pressed", String(contextOn));
  if (contextOn && !holeBox()) say(translate("Nothing is marked yet; the box is drawn around what is."));
  askContext();
  placeContext();
}

// The bounding box of what is missing, in pixels of the extended photo: [left, top, right, bottom]; null: nothing is.
function holeBox() {
  const { target, strokes, extend, variants } = state;
  if (!target) return null;
  const [left, top, right, bottom] = extend, width = target.width + left + right, height = target.height + top + bottom;
  if (variants) return [0, 0, width, height];
  const boxes = [];
  if (shareIn(strokes)) {
    const x = target.width / strokes.width, y = target.height / strokes.height, box = boxOfRuns(strokes);
    boxes.push([Math.floor(box[0] * x) + left, Math.floor(box[1] * y) + top, Math.ceil(box[2] * x) + left, Math.ceil(box[3] * y) + top]);
  }
  if (left) boxes.push([0, 0, left, height]);
  if (top) boxes.push([0, 0, width, top]);
  if (right) boxes.push([width - right, 0, width, height]);
  if (bottom) boxes.push([0, height - bottom, width, height]);
  if (!boxes.length) return null;
  return [0, 1, 2, 3].map((side) => Math[side < 2 ? "min" : "max"](...boxes.map((box) => box[side])));
}

async function askContext() {
  const hole = contextOn && fitNow && holeBox();
  if (!hole || framing) return;
  const { width, height } = frameNow(), of = JSON.stringify([hole, width, height, contextNow(), fitNow.size, fitNow.multiple]);
  if (framed?.of === of) return;
  framing = true;
  const answer = await trying(ask("frame_context", { hole, width, height, context: contextNow(), size: fitNow.size, multiple: fitNow.multiple }));
  framing = false;
  if (answer.error) return say(answer.error, "bad");
  framed = { ...answer, of };
  placeContext();
  askContext(); // what has changed meanwhile
}

function placeContext() {
  contextSays.hidden = contextBox.hidden = !contextOn || !framed || !fitNow || !holeBox();
  if (contextBox.hidden) return;
  const [left, top, width, height] = framed.box, [before, above] = extendNow();
  contextBox.style.left = (left - before) * view.scale + view.x + "px";
  contextBox.style.top = (top - above) * view.scale + view.y + "px";
  contextBox.style.width = width * view.scale + "px";
  contextBox.style.height = height * view.scale + "px";
  const { enlargement } = framed, times = decimal(enlargement, 1);
  const places = { seen: Math.round(width) + " × " + Math.round(height), size: framed.width + " × " + framed.height, times };
  contextSays.textContent = enlargement > 1.05
    ? translate("The model sees {seen} px at {size}; what it fills is enlarged {times} times.", places)
    : translate("The model sees {seen} px at {size}; nothing is enlarged.", places);
  contextSays.dataset.soft = enlargement > 1.5 ? "yes" : "no";
  for (const corner of contextCorners) {
    corner.setAttribute("aria-valuenow", contextNow());
    corner.setAttribute("aria-valuetext", translate("{share} % of the mask's sides; enlarged {times} times", { share: Math.round(100 * contextNow()), times }));
  }
}

function setContext(wanted) {
  liveContext = null;
  const context = clampContext(wanted);
  if (context === fitNow.context) return placeContext();
  fitNow = { ...fitNow, context };
  trigger("fit", { context });
  askContext();
}

function clampContext(wanted) { return Math.min(Math.max(Math.round(wanted * 20) / 20, 0), MOST_CONTEXT); }

let cornered = null; // the corner that is dragged

function cornerDown(event) {
  event.preventDefault();
  event.stopPropagation();
  event.target.focus({ preventScroll: true });
  event.target.setPointerCapture(event.pointerId);
  cornered = Number(event.target.dataset.corner);
}

function cornerMove(event) {
  if (cornered === null) return;
  const [left, top, right, bottom] = holeBox(), at = toPhoto(event), [before, above] = extendNow();
  const x = at.x + before, y = at.y + above;
  const across = (cornered === 0 || cornered === 3 ? left - x : x - right) / (right - left);
  const down = (cornered < 2 ? top - y : y - bottom) / (bottom - top);
  liveContext = clampContext(Math.max(across, down));
  placeContext();
  askContext();
}

function cornerUp() {
  if (cornered === null) return;
  cornered = null;
  setContext(contextNow());
}

// Outward is more: away from the middle of the box.
function cornerKey(event) {
  const corner = Number(event.target.dataset.corner), outward = [corner === 0 || corner === 3 ? "ArrowLeft" : "ArrowRight", corner < 2 ? "ArrowUp" : "ArrowDown"];
  if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  event.stopPropagation();
  setContext(contextNow() + (outward.includes(event.key) ? 1 : -1) * (event.shiftKey ? 0.25 : 0.05));
}
