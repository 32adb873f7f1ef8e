// Outpainting: room around the photo, by numbers, by shape or by dragging its border. What is new is marked by itself.

const frameBox = part("frame"), grown = part("grown"), unit = part("unit");
const sideInputs = [...element.querySelectorAll("[data-side]")];
const handles = [...element.querySelectorAll("[data-handle]")];
let dragging = null;

function placeFrame() {
  frameBox.hidden = !state.target;
  if (!state.target) return;
  const frame = frameNow();
  frameBox.style.left = frame.left * view.scale + view.x + "px";
  frameBox.style.top = frame.top * view.scale + view.y + "px";
  frameBox.style.width = frame.width * view.scale + "px";
  frameBox.style.height = frame.height * view.scale + "px";
  const extend = extendNow();
  handles.forEach((handle, side) => {
    handle.setAttribute("aria-valuenow", extend[side]);
    handle.setAttribute("aria-valuetext", translate("{count} pixels", { count: extend[side] }));
  });
  grown.textContent = extend.some(Boolean) ? frame.width + " × " + frame.height : "";
  sketch();
}

// Sides that grow and shrink together with the photo's pixels; null and a sentence where it would be too large.
function allowed(extend) {
  const { width, height } = state.target;
  const sides = extend.map((side) => Math.max(0, Math.min(20000, Math.round(side) || 0)));
  const area = (width + sides[0] + sides[2]) * (height + sides[1] + sides[3]);
  if (area <= MOST_PIXELS) return sides;
  say(translate("The extended photo would have {count} megapixels, and the most are 50; extend it less.", { count: Math.round(area / 1e6) }), "bad");
  return null;
}

function setExtend(extend) {
  const sides = state.target && allowed(extend);
  if (!sides || sides.every((side, at) => side === state.extend[at])) return showExtend();
  commit({ extend: sides });
}

// After a change: the numbers, the border, and all of it in view.
function showExtend() {
  const { target, extend } = state;
  sideInputs.forEach((input, side) => {
    const whole = target && (side % 2 ? target.height : target.width);
    input.value = !target ? 0 : unit.value === "%" ? Math.round((1000 * extend[side]) / whole) / 10 : extend[side];
  });
  if (!target) return;
  const frame = frameNow(), s = view.scale;
  const outside = frame.left * s + view.x < 0 || frame.top * s + view.y < 0 ||
    (frame.left + frame.width) * s + view.x > view.width || (frame.top + frame.height) * s + view.y > view.height;
  if (view.fitted || outside) fit(); else draw();
}

function takeSides() {
  if (!state.target) return;
  setExtend(sideInputs.map((input, side) => {
    const whole = side % 2 ? state.target.height : state.target.width;
    const wanted = Number(input.value) || 0;
    return unit.value === "%" ? (wanted / 100) * whole : wanted;
  }));
}

// The least room, even on both sides, that gives the photo a shape.
function takeRatio(text) {
  if (!state.target) return say(translate("There is no target yet; add the photo first."));
  const [across, down] = text.split(":").map(Number), { width, height } = state.target;
  const wider = Math.max(0, Math.round((height * across) / down) - width);
  const higher = wider ? 0 : Math.max(0, Math.round((width * down) / across) - height);
  if (!wider && !higher && !state.extend.some(Boolean)) return say(translate("The photo has this shape already."));
  setExtend([Math.floor(wider / 2), Math.floor(higher / 2), Math.ceil(wider / 2), Math.ceil(higher / 2)]);
}

function handleDown(event) {
  event.preventDefault();
  event.stopPropagation();
  event.target.focus({ preventScroll: true });
  event.target.setPointerCapture(event.pointerId);
  const side = Number(event.target.dataset.handle);
  dragging = { side, start: side % 2 ? event.clientY : event.clientX, from: state.extend[side] };
}

function handleMove(event) {
  if (!dragging) return;
  const { side, start, from } = dragging;
  const moved = (side % 2 ? event.clientY : event.clientX) - start;
  const extend = [...state.extend];
  extend[side] = Math.max(0, Math.round(from + ((side < 2 ? -moved : moved) / view.scale)));
  if (extend[side] * view.scale < 4) extend[side] = 0; // snaps to the photo's own border
  liveExtend = extend;
  drawPhoto();
  drawMarks();
  placeFrame();
}

function handleUp() {
  if (!dragging) return;
  const wanted = liveExtend;
  dragging = liveExtend = null;
  if (wanted) setExtend(wanted); else draw();
}

function handleKey(event) {
  const side = Number(event.target.dataset.handle);
  const outward = ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"];
  const grow = event.key === outward[side], shrink = event.key === outward[(side + 2) % 4];
  if (!grow && !shrink) return;
  event.preventDefault();
  event.stopPropagation();
  const whole = side % 2 ? state.target.height : state.target.width;
  const extend = [...state.extend];
  extend[side] += Math.round((grow ? 1 : -1) * whole * (event.shiftKey ? 0.05 : 0.01));
  setExtend(extend);
}
