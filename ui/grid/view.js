const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const stage = find('.rf-stage'), frame = find('.rf-frame'), wipe = find('.rf-wipe'), threads = find('.rf-threads');
const GAP = 10; // pixels between pictures
const shared = window.realfill ??= {}; // what the grid shows, as it says: {run, fixed, cells, pins}
let seen = null, mode = 'compare', close_up = true, over = false, reference = 0, run = '';

function make(name, classes, parts = {}) {
  return Object.assign(document.createElement(name), {className: classes, ...parts});
}

function svg(name, attributes) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function source(image, url) {
  if (url && image.getAttribute('src') !== url) image.src = url;
}

// ── looking closely: wheel and fingers zoom, dragging moves; all pictures move together, and keep their place from seed to seed ──

const MOST_ZOOM = 16, REACH = 22; // REACH: pixels beside the edge between before and after in which it is taken
const PREVIEW = 1280; // longest side in pixels of a picture that is not a sharp one
const WHOLE = [0, 0, 1, 1];
const view = {scale: 1, x: 0, y: 0}; // x and y: how far a picture is moved, as shares of what is seen of it at scale 1
const fingers = new Map();
// What is shown: {paper, w, h, part, room}. `part` is what fits the room at scale 1, as shares [left, top, right, bottom]
// of a picture of w x h pixels that lies on `paper`; `room` is in pixels of the stage.
let panes = [];
let grip = null, spread = null;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const density = () => window.devicePixelRatio || 1;
const trueScale = () => panes.length ? 1 / (panes[0].unit * density()) : 1; // a pixel of the picture for one of the screen

// Where the middle of a part comes to lie so that the room is filled where the picture reaches.
function middle(low, high, whole, room) {
  return whole <= room ? 0.5 : clamp((low + high) / 2, room / 2 / whole, 1 - room / 2 / whole);
}

function fit(pane) {
  const [left, top, right, bottom] = pane.part, {room} = pane;
  pane.unit = Math.min(room.w / ((right - left) * pane.w), room.h / ((bottom - top) * pane.h));
  pane.across = (right - left) * pane.w * pane.unit;
  pane.down = (bottom - top) * pane.h * pane.unit;
  pane.middle = [middle(left, right, pane.w * pane.unit, room.w), middle(top, bottom, pane.h * pane.unit, room.h)];
}

// One side of a picture of `whole` pixels with its middle at share `at`, moved by `by`: where it begins in its room.
const begin = (whole, room, at, by) => whole <= room + 0.5 ? (room - whole) / 2 : clamp(room / 2 - at * whole + by, room - whole, 0);

function place(pane) {
  const w = pane.w * pane.unit * view.scale, h = pane.h * pane.unit * view.scale, {room} = pane;
  const x = begin(w, room.w, pane.middle[0], view.x * pane.across), y = begin(h, room.h, pane.middle[1], view.y * pane.down);
  pane.at = {x: room.x + x, y: room.y + y, w, h};
  const style = pane.paper.style;
  style.width = w + 'px';
  style.height = h + 'px';
  style.transform = 'translate(' + x + 'px,' + y + 'px)';
  style.setProperty('--middle', room.h / 2 - y + 'px');
  pane.paper.classList.toggle('rf-pixels', pane.unit * view.scale * density() > 3);
}

function place_view() {
  const [lead] = panes;
  if (!lead) return;
  for (const pane of panes) place(pane);
  // no further than the first picture goes
  view.x = lead.at.w > lead.room.w + 0.5 ? (lead.at.x - lead.room.x - lead.room.w / 2 + lead.middle[0] * lead.at.w) / lead.across : 0;
  view.y = lead.at.h > lead.room.h + 0.5 ? (lead.at.y - lead.room.y - lead.room.h / 2 + lead.middle[1] * lead.at.h) / lead.down : 0;
  stage.dataset.zoomed = view.scale === 1 ? 'no' : 'yes';
  find('[data-zoom]').setAttribute('aria-pressed', String(view.scale !== 1));
  draw_threads();
  want_sharp();
}

function pane_at({clientX, clientY}) {
  const box = stage.getBoundingClientRect(), x = clientX - box.left, y = clientY - box.top;
  const pane = panes.find(({room}) => x >= room.x && x <= room.x + room.w && y >= room.y && y <= room.y + room.h) ?? panes[0];
  return [pane, (x - pane.room.x - pane.room.w / 2) / pane.across, (y - pane.room.y - pane.room.h / 2) / pane.down];
}

function zoom(scale, at) {
  if (!panes.length) return;
  const [, x, y] = at ? pane_at(at) : [null, 0, 0];
  const wanted = clamp(scale, Math.min(1, trueScale()), MOST_ZOOM), factor = wanted / view.scale;
  Object.assign(view, {scale: Math.abs(wanted - 1) < 0.02 ? 1 : wanted, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor});
  if (view.scale === 1) Object.assign(view, {x: 0, y: 0});
  place_view();
}

function pinch() {
  const [a, b] = [...fingers.values()];
  return {apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)),
    at: {clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2}};
}

function grab(event) {
  if (!seen || event.button > 1 || event.target.closest('button')) return;
  if (event.pointerType === 'touch') fingers.set(event.pointerId, event);
  if (fingers.size === 2) spread = pinch();
  if (fingers.size < 2 && view.scale === 1) return;
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  const edge = find('.rf-edge').getBoundingClientRect();
  const wipes = mode === 'compare' && fingers.size < 2 && Math.abs(event.clientX - edge.left - edge.width / 2) < REACH;
  grip = {wipes, pane: pane_at(event)[0], x: event.clientX, y: event.clientY, from: {...view}};
}

function drag(event) {
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
  if (spread && fingers.size === 2) {
    const now = pinch();
    zoom(view.scale * now.apart / spread.apart, now.at);
    spread = now;
  } else if (grip?.wipes) {
    const box = frame.getBoundingClientRect();
    wipe.value = 100 * (event.clientX - box.left) / box.width;
    set_wipe();
  } else if (grip) {
    view.x = grip.from.x + (event.clientX - grip.x) / grip.pane.across;
    view.y = grip.from.y + (event.clientY - grip.y) / grip.pane.down;
    place_view();
  }
}

function release(event) {
  fingers.delete(event.pointerId);
  spread = null;
  grip = null;
}

stage.addEventListener('wheel', (event) => {
  if (!seen) return;
  event.preventDefault();
  zoom(view.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), event);
}, {passive: false});
stage.addEventListener('pointerdown', grab);
stage.addEventListener('pointermove', drag);
stage.addEventListener('pointerup', release);
stage.addEventListener('pointercancel', release);

// ── pictures beside each other ──

// Rooms for `count` pictures, in as many columns as makes them largest; `shape` is width by height of what is to be seen.
function rooms(count, shape) {
  const box = stage.getBoundingClientRect();
  const options = Array.from({length: count}, (_, index) => {
    const columns = index + 1, rows = Math.ceil(count / columns);
    const w = (box.width - GAP * (columns - 1)) / columns, h = (box.height - GAP * (rows - 1)) / rows;
    return {columns, w, h, seen: Math.min(w, h * shape)};
  });
  const best = options.reduce((one, two) => two.seen > one.seen + 0.5 ? two : one);
  return Array.from({length: count}, (_, index) => ({
    x: (index % best.columns) * (best.w + GAP), y: Math.floor(index / best.columns) * (best.h + GAP), w: best.w, h: best.h,
  }));
}

const shapes = (parts) => parts.reduce((sum, {part, w, h}) => sum + ((part[2] - part[0]) * w) / ((part[3] - part[1]) * h), 0) / parts.length;

// Shows pictures, each {url, name, w, h, part, outline, caption}, in the places that are there already.
function lay_out(pictures) {
  const box = find('.rf-panes');
  while (box.children.length > pictures.length) box.lastChild.remove();
  while (box.children.length < pictures.length) {
    const pane = make('div', 'rf-pane'), paper = make('div', 'rf-paper');
    paper.append(make('img', '', {draggable: false}), svg('svg', {class: 'rf-outline', viewBox: '0 0 1 1', preserveAspectRatio: 'none'}));
    paper.lastChild.append(svg('path', {}));
    pane.append(paper, make('div', 'rf-caption'));
    box.append(pane);
  }
  const places = rooms(pictures.length, shapes(pictures));
  panes = pictures.map((picture, index) => {
    const pane = box.children[index], paper = pane.firstChild, [image, border] = paper.children, room = places[index];
    source(image, picture.url);
    image.alt = picture.name;
    border.firstChild.setAttribute('d', (picture.outline ?? []).map((shape) => 'M' + shape.map(([x, y]) => x + ' ' + y).join('L') + 'Z').join(''));
    pane.style.cssText = 'left:' + room.x + 'px;top:' + room.y + 'px;width:' + room.w + 'px;height:' + room.h + 'px';
    pane.dataset.coming = picture.coming ? 'yes' : 'no';
    pane.lastChild.replaceChildren(...(picture.caption ?? []));
    return {...picture, paper, room};
  });
  for (const pane of panes) fit(pane);
  place_view();
}
