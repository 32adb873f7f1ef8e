const find = (selector) => element.querySelector(selector);
const rail = find('.rf-rail'), list = find('.rf-rail-list'), undo = find('.rf-rail-undo');
const rows = new Map(); // id → its element, for as long as the project is there
let gone = null; // the project whose deletion was asked for last
const going = new Map(); // id → when its deletion was asked for; its row goes at once, and comes back where that fails
const LONGEST = 30_000; // milliseconds that a deletion may take: work is asked to stop first
let renaming = null;
let current = ''; // the open project
let read = 0; // when the list that is shown was read, in the server's seconds

const STATES = {
  queued: translate('waiting'), running: translate('running'), stopped: translate('stopped'),
  interrupted: translate('interrupted'), failed: translate('failed'), done: translate('done'),
};

// English is that of the browser, with its order of day and month.
const LANGUAGE = realfillWords.tag === 'en' ? [] : realfillWords.tag;

function when(seconds) {
  const date = new Date(seconds * 1000), now = new Date();
  if (date.toDateString() === now.toDateString()) return date.toLocaleTimeString(LANGUAGE, {hour: '2-digit', minute: '2-digit'});
  const year = date.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return date.toLocaleDateString(LANGUAGE, {day: 'numeric', month: 'short', year});
}

const icon = (path) => '<svg viewBox="0 0 16 16" width="14" height="14" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true"><path d="' + path + '"/></svg>';
const PEN = icon('M3 13l.7-3L10.6 3l2.4 2.4-7 6.9z'), BELL = icon('M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM6.7 14.5h2.6'), FOLDER = icon('M1.5 12.5v-9h4l1.5 2h7.5v7zM8 7v4M6 9h4'), TWICE = icon('M6 6h7.5v7.5H6zM10 3.5V2.5H2.5V10h1'), BIN = icon('M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5');

function make(id) {
  const row = document.createElement('li');
  row.dataset.id = id;
  row.innerHTML = '<button type="button" class="rf-rail-open" data-do="open" tabindex="-1">'
    + '<img alt="" loading="lazy" decoding="async" draggable="false">'
    + '<span class="rf-rail-words"><b></b><span class="rf-rail-note"><i></i><span></span></span></span></button>'
    + '<span class="rf-rail-grip" title="' + translate('Drag to change the order (Alt and the arrow keys)') + '" hidden>⠿</span>'
    + '<span class="rf-rail-acts">'
    + '<button type="button" data-do="rename" tabindex="-1" title="' + translate('Rename (F2)') + '">' + PEN + '</button>'
    + '<button type="button" data-do="duplicate" tabindex="-1" title="' + translate('Duplicate') + '">' + TWICE + '</button>'
    + '<button type="button" data-do="delete" tabindex="-1" title="' + translate('Delete (Del)') + '">' + BIN + '</button></span>';
  return row;
}

function fill(row, project) {
  const text = JSON.stringify(project);
  if (row.dataset.text === text) return;
  row.dataset.text = text;
  const image = row.querySelector('img');
  image.hidden = !project.thumb;
  if (project.thumb && image.getAttribute('src') !== project.thumb) image.src = project.thumb;
  if (renaming !== project.id) row.querySelector('b').textContent = project.name;
  const note = row.querySelector('.rf-rail-note');
  note.dataset.state = project.state;
  note.querySelector('span').textContent = STATES[project.state] + ' · ' + (project.place ? translate('no. {place}', project) : when(project.created));
  row.querySelector('.rf-rail-grip').hidden = !project.place || !props.value.ordered;
  row.querySelector('.rf-rail-open').title = project.name;
  const {name} = project;
  const words = {rename: translate('Rename {name}', {name}), duplicate: translate('Duplicate {name}', {name}), delete: translate('Delete {name}', {name})};
  for (const [act, label] of Object.entries(words)) row.querySelector('[data-do=' + act + ']')?.setAttribute('aria-label', label);
}

function reach(row) { // one stop of the Tab key, as in any list; its own buttons are the next stops
  for (const other of rows.values())
    for (const button of other.querySelectorAll('button')) button.tabIndex = other === row ? 0 : -1;
}

function render() {
  const value = props.value || {projects: [], examples: [], current: '', at: 0};
  if (value.at < read && value.at > read - 60) return; // an older list that comes late; further back, a clock was set
  read = value.at;
  current = value.current ?? current;
  const wanted = new Set(value.projects.map((project) => project.id));
  for (const [id, row] of rows) if (!wanted.has(id)) {
    const focused = row.contains(document.activeElement), next = row.nextElementSibling || row.previousElementSibling;
    row.remove(); rows.delete(id);
    if (focused && next) next.querySelector('.rf-rail-open').focus();
  }
  showQueue(value);
  tellFinished(value.projects);
  let place = list.firstChild;
  for (const project of inLine(value.projects)) {
    let row = rows.get(project.id);
    if (!row) rows.set(project.id, row = make(project.id));
    fill(row, project);
    if (carried) continue; // the hand that carries one of them has the last word
    if (row === place) place = place.nextSibling;
    else list.insertBefore(row, place);
    row.querySelector('.rf-rail-open').setAttribute('aria-current', String(project.id === current));
    row.hidden = Date.now() - (going.get(project.id) ?? -Infinity) < LONGEST;
  }
  for (const id of going.keys()) if (!wanted.has(id)) going.delete(id);
  showBin(value.bin || []);
  if (!list.querySelector('[tabindex="0"]')) reach(rows.get(current) || list.firstElementChild);
  find('.rf-rail-empty').hidden = value.projects.length > 0;
  const shelf = find('.rf-rail-examples');
  shelf.hidden = !value.examples.length;
  const text = JSON.stringify(value.examples);
  if (shelf.dataset.text !== text) {
    shelf.dataset.text = text;
    shelf.querySelector('ul').replaceChildren(...value.examples.map((example) => {
      const row = make(example.id), own = document.createElement('button');
      fill(row, example);
      row.querySelector('.rf-rail-acts').remove();
      row.querySelector('.rf-rail-open').tabIndex = 0;
      row.querySelector('.rf-rail-note span').textContent = translate('example');
      own.type = 'button'; own.dataset.do = 'own'; own.className = 'rf-rail-own'; own.textContent = translate('Make it your own');
      own.setAttribute('aria-label', translate('Make {name} your own', {name: example.name}));
      row.append(own);
      return row;
    }));
  }
  for (const row of shelf.querySelectorAll('li')) {
    const open = row.dataset.id === current;
    row.querySelector('.rf-rail-open').setAttribute('aria-current', String(open));
    row.querySelector('.rf-rail-own').hidden = !open;
  }
  if (gone && (!wanted.has(gone.id) || going.has(gone.id))) {
    undo.querySelector('span').textContent = going.has(gone.id) ? translate('Deleting “{name}”.', gone) : translate('Deleted “{name}”.', gone);
    undo.querySelector('button').hidden = going.has(gone.id);
    undo.hidden = false;
  } else undo.hidden = true;
}

// ── the queue: what is in work and what waits stand above the others ──

const LIVE = ['running', 'queued'];
const queueHead = find('.rf-rail-queue'), bell = queueHead.querySelector('[data-do=notify]'), said = find('.rf-rail-said');
let carried = null; // the row that is dragged to another place

function inLine(projects) {
  const rank = (project) => project.state === 'running' ? 0 : project.place || Infinity;
  const live = projects.filter((project) => LIVE.includes(project.state)).sort((one, other) => rank(one) - rank(other));
  return [...live, ...projects.filter((project) => !LIVE.includes(project.state))];
}

function showQueue({projects, paused, ordered}) {
  const waiting = projects.filter((project) => project.place).length, live = projects.some((project) => LIVE.includes(project.state));
  queueHead.hidden = !live && !paused;
  queueHead.querySelector('h2').textContent = (paused ? translate('Paused') : translate('Queue')) + (waiting ? ' · ' + translate('{waiting} waiting', {waiting}) : '');
  const button = queueHead.querySelector('[data-do=pause], [data-do=unpause]');
  button.dataset.do = paused ? 'unpause' : 'pause';
  button.textContent = paused ? translate('Go on') : translate('Pause');
  button.title = paused ? translate('Let waiting projects begin again') : translate('Begin no further project; the one in work goes on');
  button.hidden = !ordered;
}

const waitingRows = () => [...list.children].filter((row) => row.dataset.text && project(row).place);

// Puts a waiting project before (`by` < 0) or behind its neighbour, or where it was dragged to (`by` 0).
function reorder(row, by) {
  const line = waitingRows(), from = line.indexOf(row), to = from + by;
  if (from < 0 || to < 0 || to >= line.length || !props.value.ordered) return;
  if (by) line[to][by < 0 ? 'before' : 'after'](row);
  row.querySelector('.rf-rail-open').focus();
  act('move', row.dataset.id, String(to + 1));
}

list.addEventListener('pointerdown', (event) => {
  const grip = event.target.closest('.rf-rail-grip');
  if (!grip) return;
  event.preventDefault();
  carried = grip.closest('li');
  carried.dataset.carried = 'yes';
  grip.setPointerCapture(event.pointerId);
});
list.addEventListener('pointermove', (event) => {
  if (!carried) return;
  for (const other of waitingRows()) {
    const box = other.getBoundingClientRect(), middle = box.top + box.height / 2;
    if (other === carried || event.clientY < box.top || event.clientY > box.bottom) continue;
    const behind = Boolean(carried.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);
    if (behind && event.clientY > middle) other.after(carried);
    if (!behind && event.clientY < middle) other.before(carried);
  }
});
for (const kind of ['pointerup', 'pointercancel']) list.addEventListener(kind, () => {
  const row = carried;
  carried = null;
  if (!row) return;
  delete row.dataset.carried;
  reorder(row, 0);
});

// ── told when one is done: in the tab's title, and by the system where that was asked for ──

const NOTIFY = 'rf-notify';
let before = new Map(); // id → state, as it was shown last

const notifies = () => { try { return window.Notification?.permission === 'granted' && localStorage.getItem(NOTIFY) === '1'; } catch (error) { return false; } };

function showBell() {
  bell.hidden = !window.Notification;
  bell.setAttribute('aria-pressed', String(notifies()));
}

async function toggleNotify() {
  const wanted = !notifies();
  if (wanted && await Notification.requestPermission() !== 'granted') tell(translate('Your browser allows no notifications from this page; its settings for the page change that.'));
  try { localStorage.setItem(NOTIFY, wanted ? '1' : ''); } catch (error) { /* no storage here: nothing is sent */ }
  showBell();
}

function tellFinished(projects) {
  for (const project of projects) {
    if (!['done', 'failed'].includes(project.state) || !LIVE.includes(before.get(project.id))) continue;
    document.dispatchEvent(new CustomEvent('rf-finished', {detail: (project.state === 'done' ? '✓ ' : '! ') + project.name}));
    if (notifies() && document.hidden) try {
      const note = new Notification(project.name, {body: STATES[project.state], tag: project.id, icon: project.thumb || undefined});
      note.onclick = () => { window.focus(); act('open', project.id); note.close(); };
    } catch (error) { /* Android shows them for installed pages alone */ }
  }
  before = new Map(projects.map((project) => [project.id, project.state]));
}

// ── a folder of scenes becomes a queue ──

const MOST_FILES = 2000, MOST_SCENES = 100;
const many = find('input[type=file]');
let telling = 0;

function tell(sentence, seconds = 12) {
  clearTimeout(telling);
  said.textContent = sentence;
  said.hidden = !sentence;
  if (sentence && seconds) telling = setTimeout(() => tell(''), 1000 * seconds);
}

// The scenes among files: name of the scene's folder → its files in ref and target.
function scenesAmong(files) {
  const scenes = new Map();
  for (const one of files) {
    const found = /^\/?(.*)\/(?:ref|target)\/[^/.][^/]*$/i.exec(one.name);
    if (found) scenes.set(found[1], [...scenes.get(found[1]) ?? [], one]);
  }
  return new Map([...scenes].sort(([one], [other]) => one.localeCompare(other, undefined, {numeric: true})));
}

async function enqueue(files) {
  const scenes = scenesAmong(files);
  if (!scenes.size) return tell(translate('There is no scene in there; a scene is a folder with ref and target in it.'));
  if (scenes.size > MOST_SCENES || files.length >= MOST_FILES)
    return tell(translate('There are more than {most} scenes in there; bring them in parts, or use “realfill batch”.', {most: MOST_SCENES}));
  const refused = [];
  let count = 0;
  for (const [folder, parts] of scenes) {
    tell(translate('Bringing scene {count} of {all}…', {count: ++count, all: scenes.size}), 0);
    const name = folder.split('/').pop(), answer = await bringScene(parts);
    if (answer.error) refused.push(name + ': ' + answer.error);
    else trigger('enqueue', {scene: {...answer, name: answer.name || name, references: answer.references.map((one) => one.path), target: answer.target.path}});
  }
  const came = scenes.size - refused.length;
  tell([came === 1 ? translate('1 scene brought.') : translate('{came} scenes brought.', {came}), ...refused].join(' '), refused.length ? 60 : 12);
}

async function bringScene(parts) {
  const {pictures, others} = sortOut(parts), sent = [];
  try {
    for (const {name, file} of pictures) sent.push({name, path: (await upload(file)).path});
    return await server.open_files({files: sent, others});
  } catch (error) {
    return {error: translate('it could not be uploaded; check that the server is running and try again.')};
  }
}

element.addEventListener('dragover', (event) => {
  if (!event.dataTransfer.types.includes('Files')) return;
  event.preventDefault();
  rail.dataset.over = 'yes';
});
element.addEventListener('dragleave', (event) => { if (!element.contains(event.relatedTarget)) delete rail.dataset.over; });
element.addEventListener('drop', async (event) => {
  event.preventDefault();
  delete rail.dataset.over;
  const entries = entriesOf(event);
  if (entries.length) enqueue(await filesIn(entries, MOST_FILES));
});
many.addEventListener('change', () => {
  const files = [...many.files].map((file) => ({name: '/' + file.webkitRelativePath, file}));
  many.value = '';
  enqueue(files);
});
find('.rf-rail-many').innerHTML = FOLDER;
bell.innerHTML = BELL;
showBell();

function showBin(thrown) {
  const bin = find('.rf-rail-bin');
  bin.hidden = !thrown.length;
  bin.querySelector('summary').textContent = translate('Bin · {count}, kept for a day', {count: thrown.length});
  bin.querySelector('ul').replaceChildren(...thrown.map((one) => {
    const row = document.createElement('li'), name = document.createElement('span'), back = document.createElement('button');
    row.dataset.id = one.id; name.textContent = name.title = one.name;
    back.type = 'button'; back.dataset.do = 'restore'; back.textContent = translate('Restore');
    back.setAttribute('aria-label', translate('Restore {name}', one));
    row.append(name, back);
    return row;
  }));
}

function project(row) { return JSON.parse(row.dataset.text); }

function rename(row) {
  const label = row.querySelector('b'), before = project(row).name, field = document.createElement('input');
  renaming = row.dataset.id;
  field.value = before; field.maxLength = 120; field.setAttribute('aria-label', translate('New name'));
  const open = row.querySelector('.rf-rail-open');
  open.hidden = true;
  row.prepend(field);
  field.focus(); field.select();
  const end = (keep) => {
    if (renaming !== row.dataset.id) return;
    renaming = null;
    const name = field.value.trim();
    field.remove(); open.hidden = false; open.focus();
    if (keep && name && name !== before) { label.textContent = name; act('rename', row.dataset.id, name); }
  };
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') end(true);
    else if (event.key === 'Escape') end(false);
    event.stopPropagation();
  });
  field.addEventListener('blur', () => end(true));
}

// What is asked for while the page still opens the project that it begins with comes after that, and is not overtaken by it.
async function act(what, id, name) {
  await window.realfill?.whenBegun;
  trigger('act', {what, id: id || '', name: name || ''});
}

function perform(what, row) {
  if (what === 'rename') rename(row);
  else if (what === 'many') many.click();
  else if (what === 'notify') toggleNotify();
  else if (what === 'machine') document.dispatchEvent(new CustomEvent('rf-machine'));
  else if (what === 'restore') act('undo', row.dataset.id);
  else if (what === 'undo') { act('undo', gone.id); gone = null; undo.hidden = true; }
  else {
    if (narrow.matches && ['open', 'new', 'own'].includes(what)) folded(true);
    if (what === 'delete') {
      gone = project(row);
      going.set(gone.id, Date.now());
      const next = row.nextElementSibling || row.previousElementSibling;
      render();
      next?.querySelector('.rf-rail-open').focus();
      setTimeout(render, LONGEST + 100);
    }
    act(what, row ? row.dataset.id : '');
  }
}

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) perform(button.dataset.do, button.closest('li'));
});
list.addEventListener('focusin', (event) => { const row = event.target.closest('li'); if (row) reach(row); });
list.addEventListener('keydown', (event) => {
  const row = event.target.closest('li');
  if (row && event.altKey && ['ArrowUp', 'ArrowDown'].includes(event.key)) {
    reorder(row, event.key === 'ArrowUp' ? -1 : 1);
    event.preventDefault(); event.stopPropagation();
    return;
  }
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = {ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: list.firstElementChild, End: list.lastElementChild}[event.key];
  if (to) to.querySelector('.rf-rail-open').focus();
  else if (event.key === 'F2') perform('rename', row);
  else if (event.key === 'Delete') perform('delete', row);
  else if (!/^(Arrow|Home|End)/.test(event.key)) return;
  event.preventDefault(); event.stopPropagation();
});

const fold = find('.rf-rail-fold');
const narrow = matchMedia('(max-width: 900px)'); // here the rail is a drawer over the page
function folded(away, keep = true) {
  // gradio puts its own container before every selector of a style, so that within @media the desk has to bear them
  for (const place of [document.documentElement, element.closest('#desk')]) {
    place?.classList.toggle('rf-rail-away', away);
    place?.classList.toggle('rf-rail-out', !away);
  }
  fold.setAttribute('aria-expanded', String(!away));
  fold.textContent = narrow.matches ? (away ? '☰' : '✕') : away ? '»' : '«';
  fold.title = away ? translate('Show the projects') : translate('Hide the projects');
  fold.setAttribute('aria-label', fold.title);
  if (keep && !narrow.matches) try { localStorage.setItem('rf-rail-away', away ? '1' : ''); } catch (error) { /* no storage here: it is not kept */ }
}
fold.addEventListener('click', () => folded(!document.documentElement.classList.contains('rf-rail-away')));
function unfold() { let away = narrow.matches; try { away ||= localStorage.getItem('rf-rail-away') === '1'; } catch (error) { /* as it is */ } folded(away, false); }
unfold();
narrow.addEventListener('change', unfold);
document.addEventListener('pointerdown', (event) => { // beside the drawer
  if (element.isConnected && narrow.matches && !element.contains(event.target)) folded(true);
});

// The language is the server's to tell, so the page is loaded anew.
const language = find('.rf-rail-language');
language.replaceChildren(...Object.entries(realfillWords.languages).map(([tag, name]) => new Option(name, tag, false, tag === realfillWords.tag)));
for (const option of language.options) option.lang = option.value;
language.addEventListener('change', () => {
  const shared = location.protocol === 'https:' ? 'SameSite=None; Secure; Partitioned' : 'SameSite=Lax'; // a Space stands in a frame
  document.cookie = 'realfill-language=' + language.value + '; Max-Age=31536000; Path=/; ' + shared;
  location.reload();
});

// Back and Forward of the browser
document.addEventListener('rf-open', (event) => { if (element.isConnected) act(event.detail ? 'open' : 'new', event.detail); });
// what the dialog "Models and machine" asks for
document.addEventListener('rf-rail', ({detail: {what, id}}) => { if (element.isConnected && (!id || rows.has(id))) perform(what, rows.get(id)); });
// another tab or the command line may have changed something meanwhile
document.addEventListener('visibilitychange', () => { if (!document.hidden) act('refresh'); });
watch('value', render);
render();
