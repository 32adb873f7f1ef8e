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
const PEN = icon('M3 13l.7-3L10.6 3l2.4 2.4-7 6.9z'), TWICE = icon('M6 6h7.5v7.5H6zM10 3.5V2.5H2.5V10h1'), BIN = icon('M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5');

function make(id) {
  const row = document.createElement('li');
  row.dataset.id = id;
  row.innerHTML = '<button type="button" class="rf-rail-open" data-do="open" tabindex="-1">'
    + '<img alt="" loading="lazy" decoding="async" draggable="false">'
    + '<span class="rf-rail-words"><b></b><span class="rf-rail-note"><i></i><span></span></span></span></button>'
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
  note.querySelector('span').textContent = STATES[project.state] + ' · ' + when(project.created);
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
  let place = list.firstChild;
  for (const project of value.projects) {
    let row = rows.get(project.id);
    if (!row) rows.set(project.id, row = make(project.id));
    fill(row, project);
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

function act(what, id, name) { trigger('act', {what, id: id || '', name: name || ''}); }

function perform(what, row) {
  if (what === 'rename') rename(row);
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
// another tab or the command line may have changed something meanwhile
document.addEventListener('visibilitychange', () => { if (!document.hidden) act('refresh'); });
watch('value', render);
render();
