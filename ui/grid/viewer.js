const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const stage = find('.rf-stage'), frame = find('.rf-frame'), pair = find('.rf-pair'), wipe = find('.rf-wipe');
const SVG = 'http://www.w3.org/2000/svg';
const GAP = 12, MOST = 160; // pixels between the two pictures; lines drawn at once
let seen = null, mode = 'compare', close_up = true, over = false, reference = 0, run = '';

function svg(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function source(image, url) {
  if (url && image.getAttribute('src') !== url) image.src = url;
}

// ── looking closely: wheel and fingers zoom, dragging moves; the same place stays in view from seed to seed ──

const MOST_ZOOM = 16, REACH = 22; // REACH: pixels beside the edge between before and after in which it is taken
const view = {scale: 1, x: 0, y: 0};
const fingers = new Map();
let grip = null, spread = null;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const fromMiddle = ({clientX, clientY}) => { const box = stage.getBoundingClientRect(); return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2]; };
const trueScale = () => seen.frames[close_up ? 'close' : 'whole'].w / ((frame.clientWidth || 1) * (window.devicePixelRatio || 1));

function place_view() {
  const shown = mode === 'compare' ? frame : pair, box = shown.getBoundingClientRect(), room = stage.getBoundingClientRect();
  const [across, down] = [box.width - room.width, box.height - room.height].map((over) => Math.max(0, over / 2));
  view.x = clamp(view.x, -across, across);
  view.y = clamp(view.y, -down, down);
  const fitted = view.scale === 1;
  frame.style.setProperty('--zoom', view.scale);
  for (const part of [frame, pair]) part.style.transform = fitted ? '' : 'translate(' + view.x + 'px,' + view.y + 'px) scale(' + view.scale + ')';
  stage.dataset.zoomed = fitted ? 'no' : 'yes';
  find('[data-zoom]').setAttribute('aria-pressed', String(!fitted));
}

function zoom(scale, [x, y] = [0, 0]) {
  const wanted = clamp(scale, Math.min(1, trueScale()), MOST_ZOOM), factor = wanted / view.scale;
  Object.assign(view, {scale: Math.abs(wanted - 1) < 0.02 ? 1 : wanted, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor});
  for (const part of [frame, pair]) part.style.transform = 'scale(' + view.scale + ')'; // so that its size is known
  place_view();
}

function pinch() {
  const [a, b] = [...fingers.values()];
  return {apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)), at: fromMiddle({clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2})};
}

function grab(event) {
  if (!seen || event.button > 1) return;
  if (event.pointerType === 'touch') fingers.set(event.pointerId, event);
  if (fingers.size === 2) spread = pinch();
  if (fingers.size < 2 && view.scale === 1) return;
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  const edge = find('.rf-edge').getBoundingClientRect();
  const wipes = mode === 'compare' && fingers.size < 2 && Math.abs(event.clientX - edge.left - edge.width / 2) < REACH;
  grip = {wipes, x: event.clientX - view.x, y: event.clientY - view.y};
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
    Object.assign(view, {x: event.clientX - grip.x, y: event.clientY - grip.y});
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
  zoom(view.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), fromMiddle(event));
}, {passive: false});
stage.addEventListener('pointerdown', grab);
stage.addEventListener('pointermove', drag);
stage.addEventListener('pointerup', release);
stage.addEventListener('pointercancel', release);
document.addEventListener('keydown', (event) => {
  if (!seen || !element.isConnected || !element.offsetParent || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest('input:not([type=range]), textarea, [contenteditable=true]')) return;
  if (event.key === '+' || event.key === '=') zoom(view.scale * 1.25);
  else if (event.key === '-') zoom(view.scale / 1.25);
  else if (event.key === '0') zoom(view.scale === 1 ? trueScale() : 1);
});

// ── taking it elsewhere ──

async function loaded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// The pictures beside each other, in the order given.
async function sheet(urls) {
  const images = await Promise.all(urls.map(loaded)), canvas = document.createElement('canvas');
  canvas.width = images.reduce((sum, image) => sum + image.naturalWidth, 0);
  canvas.height = Math.max(...images.map((image) => image.naturalHeight));
  let left = 0;
  for (const image of images) { canvas.getContext('2d').drawImage(image, left, 0); left += image.naturalWidth; }
  return canvas;
}

function said(button, words) {
  const before = button.dataset.words ??= button.textContent;
  button.textContent = words;
  setTimeout(() => { button.textContent = before; }, 2000);
}

async function share(button) {
  const shot = seen.frames[close_up ? 'close' : 'whole'], link = document.createElement('a');
  link.href = (await sheet([shot.before, shot.after])).toDataURL('image/jpeg', 0.92);
  link.download = seen.name.replace(/[^\w-]+/g, '-') + '-before-after.jpg';
  link.click();
  said(button, translate('Saved'));
}

async function copy(button) {
  const shot = seen.frames[close_up ? 'close' : 'whole'], canvas = await sheet([shot.after]);
  try {
    const picture = new Promise((done) => canvas.toBlob(done, 'image/png'));
    await navigator.clipboard.write([new ClipboardItem({'image/png': picture})]);
    said(button, translate('Copied'));
  } catch (error) { said(button, translate('Not allowed here')); } // only over https or on this machine
}

function compare() {
  const shot = seen.frames[close_up ? 'close' : 'whole'];
  source(find('.rf-before'), shot.before);
  source(find('.rf-after'), shot.after);
  find('.rf-before').alt = translate('The target');
  find('.rf-after').alt = translate('The target filled in: {name}', seen);
  const layer = find('.rf-over');
  layer.hidden = !over || !shot.over;
  source(layer, shot.over);
  const room = stage.getBoundingClientRect();
  const scale = Math.min(room.width / shot.w, room.height / shot.h);
  frame.style.width = Math.floor(shot.w * scale) + 'px';
  frame.style.height = Math.floor(shot.h * scale) + 'px';
}

// The reference and the seed's picture next to each other or, where that is larger, one above the other.
function places(one, two, room) {
  const options = [];
  for (const down of [false, true]) {
    const height = down ? one.h / one.w + two.h / two.w : 1;
    const width = down ? 1 : one.w / one.h + two.w / two.h;
    const free = down ? [room.width, room.height - GAP] : [room.width - GAP, room.height];
    const unit = Math.max(1, Math.min(free[0] / width, free[1] / height));
    const sizes = [one, two].map((part) => down ? [unit, unit * part.h / part.w] : [unit * part.w / part.h, unit]);
    options.push({down, sizes, area: sizes[0][0] * sizes[0][1] + sizes[1][0] * sizes[1][1]});
  }
  const best = options[0].area >= options[1].area ? options[0] : options[1];
  const [a, b] = best.sizes;
  const first = {x: 0, y: 0, w: a[0], h: a[1]};
  const second = best.down ? {x: 0, y: a[1] + GAP, w: b[0], h: b[1]} : {x: a[0] + GAP, y: 0, w: b[0], h: b[1]};
  return {first, second, w: Math.max(first.w, second.x + second.w), h: Math.max(first.h, second.y + second.h)};
}

function picture(place, url, name) {
  const image = svg('image', {x: place.x, y: place.y, width: place.w, height: place.h, preserveAspectRatio: 'none', href: url});
  image.append(Object.assign(svg('title', {}), {textContent: name}));
  return image;
}

function outline(place) {
  const path = seen.outline.map((shape) => 'M' + shape.map(([x, y]) => (place.x + x * place.w).toFixed(1) + ' ' + (place.y + y * place.h).toFixed(1)).join('L') + 'Z');
  return svg('path', {d: path.join(''), class: 'rf-outline'});
}

function draw() {
  const shown = seen.refs[reference];
  if (!shown) return;
  const room = stage.getBoundingClientRect();
  const at = places(shown, seen.crop, room);
  pair.setAttribute('viewBox', '0 0 ' + at.w.toFixed(1) + ' ' + at.h.toFixed(1));
  pair.setAttribute('width', at.w);
  pair.setAttribute('height', at.h);
  const parts = [picture(at.first, shown.url, translate('Reference {number}', {number: reference + 1})), picture(at.second, seen.crop.url, seen.name), outline(at.second)];
  if (mode === 'matches' && shown.lines) parts.push(...lines(shown.lines, at));
  pair.replaceChildren(...parts);
}

function lines(points, at) {
  const step = Math.max(1, points.length / MOST), parts = [];
  for (let i = 0; i < points.length; i += step) {
    const [rx, ry, tx, ty] = points[Math.floor(i)];
    const x1 = at.first.x + rx * at.first.w, y1 = at.first.y + ry * at.first.h;
    const x2 = at.second.x + tx * at.second.w, y2 = at.second.y + ty * at.second.h;
    const colour = 'hsl(' + Math.round(360 * tx) + ' 85% ' + Math.round(50 + 18 * ty) + '%)'; // neighbours look alike
    parts.push(svg('line', {x1, y1, x2, y2, stroke: colour, class: 'rf-match'}));
    parts.push(svg('circle', {cx: x1, cy: y1, r: 2.4, fill: colour}), svg('circle', {cx: x2, cy: y2, r: 2.4, fill: colour}));
  }
  return parts;
}

function note() {
  if (mode === 'compare') return seen.note || '';
  const shown = seen.refs[reference];
  if (!shown || mode === 'beside') return translate('The dashed line is the border of what was filled in.');
  if (seen.matches === null) return translate('The matches of this seed are not counted yet.');
  if (!shown.lines) return translate('The points of this count were not kept; count again to see them.');
  const drawn = Math.min(shown.lines.length, MOST);
  const places = {count: shown.count, number: reference + 1, drawn};
  const sentence = drawn < shown.count ? translate('{count} matches of reference {number} land in the filled part; {drawn} are drawn.', places)
    : shown.count === 1 ? translate('1 match of reference {number} lands in the filled part.', places)
    : translate('{count} matches of reference {number} land in the filled part.', places);
  return sentence + (seen.why ? ' ' + seen.why : '');
}

function show() {
  find('.rf-viewer').hidden = !seen;
  find('.rf-none').hidden = !!seen;
  if (!seen) return;
  for (const tab of all('[data-mode]')) {
    const on = tab.dataset.mode === mode;
    tab.setAttribute('aria-selected', String(on));
    tab.tabIndex = on ? 0 : -1;
  }
  for (const button of all('[data-frame]')) button.setAttribute('aria-checked', String((button.dataset.frame === 'close') === close_up));
  find('.rf-compare').hidden = mode !== 'compare';
  pair.toggleAttribute('hidden', mode === 'compare');
  pair.setAttribute('aria-label', note());
  find('[data-for=compare]').hidden = mode !== 'compare';
  find('[data-for=pair]').hidden = mode === 'compare';
  const layer = find('[data-over]');
  layer.hidden = mode !== 'compare' || !seen.frames.whole.over;
  layer.setAttribute('aria-pressed', String(over));
  find('.rf-title').textContent = seen.title;
  for (const button of all('[data-mark]')) button.setAttribute('aria-pressed', String(button.dataset.mark === 'starred' ? seen.star : seen.hide));
  find('.rf-note').textContent = note();
  if (mode === 'compare') compare(); else draw();
  place_view();
}

function references() {
  const list = find('.rf-refs');
  list.replaceChildren(...seen.refs.map((ref, index) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('role', 'radio');
    button.setAttribute('aria-checked', String(index === reference));
    const count = ref.count === null ? '' : String(ref.count);
    button.setAttribute('aria-label', count ? translate('Reference {number}, {count} matches', {number: index + 1, count}) : translate('Reference {number}', {number: index + 1}));
    const image = document.createElement('img');
    image.alt = ''; image.src = ref.thumb; image.loading = 'lazy';
    button.append(image, Object.assign(document.createElement('span'), {textContent: count}));
    button.addEventListener('click', () => { reference = index; references(); show(); list.children[index].focus(); });
    return button;
  }));
}

function set_wipe() {
  frame.style.setProperty('--wipe', wipe.value + '%');
  wipe.setAttribute('aria-valuetext', translate('{share} % before', {share: Math.round(wipe.value)}));
}

function large(on) {
  document.body.classList.toggle('rf-is-large', on);
  find('[data-large]').setAttribute('aria-pressed', String(on));
  requestAnimationFrame(show);
}

wipe.addEventListener('input', set_wipe);
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || !seen) return;
  if (button.dataset.mode) { mode = button.dataset.mode; show(); }
  else if (button.dataset.frame) { close_up = button.dataset.frame === 'close'; show(); }
  else if ('over' in button.dataset) { over = !over; show(); }
  else if ('zoom' in button.dataset) zoom(view.scale === 1 ? trueScale() : 1);
  else if ('share' in button.dataset) share(button);
  else if ('copy' in button.dataset) copy(button);
  else if (button.dataset.step) document.dispatchEvent(new CustomEvent('rf-step', {detail: button.dataset.step}));
  else if ('large' in button.dataset) large(!document.body.classList.contains('rf-is-large'));
  else if (button.dataset.mark) {
    const name = button.dataset.mark === 'starred' ? 'star' : 'hide';
    seen[name] = !seen[name];
    button.setAttribute('aria-pressed', String(seen[name]));
    document.dispatchEvent(new CustomEvent('rf-mark', {detail: {seed: seen.seed, kind: button.dataset.mark}}));
  }
});
element.addEventListener('keydown', (event) => {
  const group = event.target.closest('[role=tablist], [role=radiogroup]');
  const way = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!group || !way) return;
  const buttons = [...group.querySelectorAll('button')];
  const next = buttons[(buttons.indexOf(event.target.closest('button')) + way + buttons.length) % buttons.length];
  event.preventDefault();
  next.click();
  (group.isConnected && !next.isConnected ? find('.rf-refs [aria-checked=true]') : next)?.focus();
});
document.addEventListener('rf-large', () => { if (element.isConnected) large(!document.body.classList.contains('rf-is-large')); });
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && document.body.classList.contains('rf-is-large')) large(false);
});
new ResizeObserver(() => { if (seen) { if (mode === 'compare') compare(); else draw(); } }).observe(stage);

function take() {
  const value = props.value || null;
  seen = value && value.seed !== null && value.seed !== undefined ? JSON.parse(JSON.stringify(value)) : null;
  if (!seen) { large(false); show(); return; }
  if (value.run !== run) { run = value.run; reference = 0; Object.assign(view, {scale: 1, x: 0, y: 0}); }
  if (reference >= seen.refs.length) reference = 0;
  references();
  show();
}
watch('value', take);
set_wipe();
take();
