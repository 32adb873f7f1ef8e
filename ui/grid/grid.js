const find = (selector) => element.querySelector(selector);
const box = find('.rf-cells');
const tiles = new Map(); // seed → its element, for as long as the run is the same
let state = {run: '', cells: [], live: false, planned: 0, chosen: null};
const pins = new Set(); // seeds that stay while others are stepped through, side by side
const shared = window.realfill ??= {};
let share = 100, only = {starred: false, hidden: false}, current = null, waiting = null;
let asked = null; // the seed that was picked here and is not shown in full yet

const matches = (count) => count === 1 ? translate('1 match') : translate('{count} matches', {count});

function shown(cell, counted) {
  if (only.starred && !cell.star) return false;
  if (cell.hide && !only.hidden) return false;
  if (share < 100 && counted) return cell.rank !== null && cell.rank <= Math.ceil(counted * share / 100 - 1e-9);
  return true;
}

function make(cell) {
  const tile = document.createElement('div');
  tile.className = 'rf-cell';
  tile.setAttribute('role', 'option');
  tile.dataset.seed = cell.seed;
  tile.tabIndex = -1;
  tile.innerHTML = '<div class="rf-pic"><img loading="lazy" decoding="async" draggable="false" alt=""></div>'
    + '<span class="rf-rank"></span><span class="rf-kind" hidden></span>'
    + '<span class="rf-marks" aria-hidden="true">'
    + '<button type="button" tabindex="-1" data-pin title="' + translate('Keep beside the others, side by side (P)') + '">' + translate('Keep') + '</button>'
    + '<button type="button" tabindex="-1" data-mark="starred" title="' + translate('Star (S)') + '">★</button>'
    + '<button type="button" tabindex="-1" data-mark="hidden" title="' + translate('Hide (H)') + '"><svg class="rf-eye" viewBox="0 0 16 16" aria-hidden="true"><path d="M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM2.5 2.5l11 11"/></svg></button></span>'
    + '<span class="rf-foot"><b></b><span class="rf-bars" aria-hidden="true"></span></span>';
  return tile;
}

function words(cell) {
  const parts = [cell.name];
  if (cell.matches === null) parts.push(translate('not counted yet'));
  else parts.push(translate('rank {rank}', cell), matches(cell.matches));
  if (cell.refs.length) parts.push(translate('by reference {counts}', {counts: cell.refs.join(', ')}));
  if (cell.kind) parts.push(cell.kind);
  if (cell.star) parts.push(translate('starred'));
  if (cell.hide) parts.push(translate('hidden'));
  return parts.join(', ');
}

function fill(tile, cell, most) {
  const text = JSON.stringify([cell, most]);
  if (tile.dataset.text === text) return;
  tile.dataset.text = text;
  const image = tile.querySelector('img');
  if (cell.url && image.getAttribute('src') !== cell.url) image.src = cell.url;
  tile.classList.toggle('rf-blank', !cell.url);
  tile.setAttribute('aria-label', words(cell));
  const rank = tile.querySelector('.rf-rank');
  rank.textContent = '#' + cell.rank; rank.hidden = cell.rank === null;
  const kind = tile.querySelector('.rf-kind');
  kind.textContent = cell.kind; kind.hidden = !cell.kind;
  const foot = tile.querySelector('.rf-foot b');
  foot.textContent = cell.matches === null ? translate('not counted yet') : matches(cell.matches);
  tile.querySelector('.rf-foot').title = cell.refs.map((n, i) => translate('Reference {number}: {name}', {number: i + 1, name: n})).join('\n') || words(cell);
  tile.classList.toggle('rf-star', cell.star);
  tile.classList.toggle('rf-hide', cell.hide);
  const bars = tile.querySelector('.rf-bars');
  bars.replaceChildren(...cell.refs.map((count) => {
    const bar = document.createElement('i');
    bar.style.height = Math.max(8, 100 * count / Math.max(1, most)) + '%';
    return bar;
  }));
}

function visible() {
  const counted = state.cells.filter((cell) => cell.rank !== null).length;
  return state.cells.filter((cell) => shown(cell, counted));
}

function render() {
  const cells = visible();
  const most = Math.max(0, ...state.cells.flatMap((cell) => cell.refs));
  const wanted = new Set(cells.map((cell) => cell.seed));
  for (const [seed, tile] of tiles) if (!wanted.has(seed)) { tile.remove(); if (!state.cells.some((cell) => cell.seed === seed)) tiles.delete(seed); }
  const focused = document.activeElement;
  let place = box.firstChild;
  for (const cell of cells) {
    let tile = tiles.get(cell.seed);
    if (!tile) tiles.set(cell.seed, tile = make(cell));
    fill(tile, cell, most);
    if (tile === place) place = place.nextSibling;
    else box.insertBefore(tile, place);
  }
  if (focused && box.contains(focused) && document.activeElement !== focused) focused.focus({preventScroll: true});
  for (const [seed, tile] of tiles) tile.classList.toggle('rf-pinned', pins.has(seed));
  select(current !== null && wanted.has(current) ? current : null);
  tell(cells);
  shared.grid = {run: state.run, fixed: Boolean(state.fixed), cells, pins: [...pins].filter((seed) => wanted.has(seed))};
  document.dispatchEvent(new CustomEvent('rf-cells'));
}

function tell(cells) {
  const made = state.cells.filter((cell) => cell.seed >= 0).length, drafts = state.cells.length - made, stars = state.cells.filter((cell) => cell.star).length;
  const away = state.cells.filter((cell) => cell.hide).length;
  const to_come = Math.max(0, state.planned - made);
  const parts = [];
  const seeds = made === 1 ? translate('1 seed') : translate('{count} seeds', {count: made});
  const proposals = drafts === 1 ? translate('1 draft') : translate('{count} proposals', {count: drafts});
  const all = made && drafts ? translate('{seeds} and {proposals}', {seeds, proposals}) : made ? seeds : drafts ? proposals : '';
  if (all) parts.push(cells.length === state.cells.length ? all : translate('{count} of {all}', {count: cells.length, all}));
  if (state.cells.length && to_come && state.live) parts.push(translate('{count} to come', {count: to_come}));
  find('.rf-count').textContent = parts.join(' · ');
  find('[data-only=starred] span').textContent = stars || '';
  const hidden = find('[data-only=hidden]');
  hidden.hidden = !away;
  hidden.querySelector('span').textContent = away || '';
  const empty = find('.rf-empty');
  empty.hidden = cells.length > 0;
  empty.textContent = state.cells.length ? translate('No seed fits these filters.') : state.empty || '';
  find('[data-blind]').disabled = cells.length < 2;
  for (const button of element.querySelectorAll('[data-more]')) {
    button.disabled = !state.more;
    button.title = state.more ? translate('Make more pictures with other seeds') : state.why || '';
  }
}

function select(seed) {
  for (const [number, tile] of tiles) {
    tile.setAttribute('aria-selected', String(number === seed));
    tile.tabIndex = number === seed ? 0 : -1;
  }
  if (seed === null && box.firstChild) box.firstChild.tabIndex = 0;
}

function pick(seed, focus) {
  current = asked = seed;
  select(seed);
  const tile = tiles.get(seed);
  if (focus && tile) { tile.focus({preventScroll: true}); tile.scrollIntoView({block: 'nearest'}); }
  clearTimeout(waiting); // while an arrow key is held down, only the last one is opened
  waiting = setTimeout(() => trigger('pick', {seed}), focus ? 90 : 0);
}

// What is shown in full is selected: the first picture, then the best one. An answer to an earlier pick comes too late.
function follow({run, seed}) {
  if (run !== state.run || (asked !== null && asked !== seed)) return;
  asked = null;
  current = seed;
  select(tiles.get(seed)?.isConnected ? seed : null);
}

function mark(seed, kind) {
  if (state.fixed) return;
  const cell = state.cells.find((one) => one.seed === seed);
  if (!cell) return;
  const name = kind === 'starred' ? 'star' : 'hide';
  cell[name] = !cell[name];
  trigger('mark', {seed, kind, on: cell[name]});
  const list = visible();
  if (list.some((one) => one.seed === seed)) { render(); return; }
  const tile = tiles.get(seed), next = tile && (tile.nextSibling || tile.previousSibling);
  const there = tile && tile.contains(document.activeElement) || document.activeElement === tile;
  render();
  if (next && there) pick(Number(next.dataset.seed), true);
}

function pin(seed) {
  if (!pins.delete(seed)) pins.add(seed);
  if (pins.size > 4) pins.delete([...pins][0]);
  render();
}

function move(key) {
  const list = [...box.children];
  const at = Math.max(0, list.findIndex((tile) => Number(tile.dataset.seed) === current));
  const top = list[0] ? list[0].offsetTop : 0;
  const columns = Math.max(1, list.filter((tile) => tile.offsetTop === top).length);
  const to = {ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: list.length - 1}[key];
  const next = list[current === null ? 0 : Math.min(list.length - 1, Math.max(0, to))];
  if (next) pick(Number(next.dataset.seed), true);
}

box.addEventListener('click', (event) => {
  const tile = event.target.closest('.rf-cell');
  if (!tile) return;
  const button = event.target.closest('[data-mark]');
  if (event.target.closest('[data-pin]')) pin(Number(tile.dataset.seed));
  else if (button) mark(Number(tile.dataset.seed), button.dataset.mark);
  else pick(Number(tile.dataset.seed), true);
});
box.addEventListener('dblclick', (event) => { if (event.target.closest('.rf-pic')) document.dispatchEvent(new CustomEvent('rf-large')); });
box.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const tile = event.target.closest('.rf-cell');
  if (/^(Arrow|Home|End)/.test(event.key)) move(event.key);
  else if (!tile) return;
  else if (event.key === 'Enter' || event.key === ' ') {
    if (current === Number(tile.dataset.seed) && event.key === 'Enter') document.dispatchEvent(new CustomEvent('rf-large'));
    pick(Number(tile.dataset.seed), true);
  } else if (event.key === 's' || event.key === 'S') mark(Number(tile.dataset.seed), 'starred');
  else if (event.key === 'h' || event.key === 'H') mark(Number(tile.dataset.seed), 'hidden');
  else if (event.key === 'p' || event.key === 'P') pin(Number(tile.dataset.seed));
  else return;
  event.preventDefault();
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || !element.contains(button)) return;
  if (button.dataset.share) {
    share = Number(button.dataset.share);
    for (const other of element.querySelectorAll('[data-share]')) other.setAttribute('aria-checked', String(other === button));
    render();
  } else if (button.dataset.only) {
    only[button.dataset.only] = !only[button.dataset.only];
    button.setAttribute('aria-pressed', String(only[button.dataset.only]));
    render();
  } else if ('blind' in button.dataset) document.dispatchEvent(new CustomEvent('rf-blind'));
  else if (button.dataset.more) trigger('more', {count: Number(button.dataset.more)});
});
// The viewer's own buttons speak through the document: both show the same seed.
document.addEventListener('rf-step', (event) => { if (element.isConnected) move(event.detail); });
document.addEventListener('rf-pick', (event) => { if (element.isConnected) pick(event.detail); });
document.addEventListener('rf-shown', (event) => { if (element.isConnected) follow(event.detail); });
document.addEventListener('rf-pin', (event) => { if (element.isConnected) pin(event.detail); });
document.addEventListener('rf-stars', (event) => {
  if (!element.isConnected) return;
  for (const cell of state.cells) cell.star = event.detail.includes(cell.seed);
  render();
});
document.addEventListener('rf-mark', (event) => { if (element.isConnected) mark(event.detail.seed, event.detail.kind); });

function take() {
  const value = props.value || {run: '', cells: []};
  if (value.run !== state.run) { tiles.clear(); pins.clear(); box.replaceChildren(); current = value.chosen ?? null; asked = null; only = {starred: false, hidden: false};
    for (const button of element.querySelectorAll('[data-only]')) button.setAttribute('aria-pressed', 'false'); }
  if (current === null) current = value.chosen ?? null;
  state = JSON.parse(JSON.stringify(value));
  document.body.classList.toggle('rf-fixed', Boolean(state.fixed)); // the viewer's marks too
  render();
}
watch('value', take);
take();
