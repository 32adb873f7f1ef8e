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

function compare() {
  const shot = seen.frames[close_up ? 'close' : 'whole'];
  source(find('.rf-before'), shot.before);
  source(find('.rf-after'), shot.after);
  find('.rf-before').alt = 'The target';
  find('.rf-after').alt = 'The target filled in: ' + seen.name;
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
  const parts = [picture(at.first, shown.url, 'Reference ' + (reference + 1)), picture(at.second, seen.crop.url, seen.name), outline(at.second)];
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
  if (!shown || mode === 'beside') return 'The dashed line is the border of what was filled in.';
  if (seen.matches === null) return 'The matches of this seed are not counted yet.';
  if (!shown.lines) return 'The points of this count were not kept; count again to see them.';
  const drawn = Math.min(shown.lines.length, MOST);
  const count = shown.count + (shown.count === 1 ? ' match' : ' matches') + ' of reference ' + (reference + 1) + ' land in the filled part';
  return count + (drawn < shown.count ? '; ' + drawn + ' are drawn.' : '.') + (seen.why ? ' ' + seen.why : '');
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
}

function references() {
  const list = find('.rf-refs');
  list.replaceChildren(...seen.refs.map((ref, index) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('role', 'radio');
    button.setAttribute('aria-checked', String(index === reference));
    const count = ref.count === null ? '' : String(ref.count);
    button.setAttribute('aria-label', 'Reference ' + (index + 1) + (count ? ', ' + count + ' matches' : ''));
    const image = document.createElement('img');
    image.alt = ''; image.src = ref.thumb; image.loading = 'lazy';
    button.append(image, Object.assign(document.createElement('span'), {textContent: count}));
    button.addEventListener('click', () => { reference = index; references(); show(); list.children[index].focus(); });
    return button;
  }));
}

function set_wipe() {
  frame.style.setProperty('--wipe', wipe.value + '%');
  wipe.setAttribute('aria-valuetext', Math.round(wipe.value) + ' % before');
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
  if (value.run !== run) { run = value.run; reference = 0; }
  if (reference >= seen.refs.length) reference = 0;
  references();
  show();
}
watch('value', take);
set_wipe();
take();
