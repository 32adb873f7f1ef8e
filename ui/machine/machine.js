const dialog = element.querySelector('dialog'), find = (selector) => dialog.querySelector(selector);
const LOOK = 2000; // milliseconds between looks while the dialog is open
let disk = null, live = null, timer = 0;
let fetched = null; // the downloads that were under way at the last look; null: the disk is asked anyway

const UNITS = [
  (number) => translate('{number} bytes', {number}), (number) => translate('{number} kB', {number}), (number) => translate('{number} MB', {number}),
  (number) => translate('{number} GB', {number}), (number) => translate('{number} TB', {number}),
];

function size(bytes) {
  let unit = 0;
  for (; bytes >= 1000 && unit < UNITS.length - 1; unit++) bytes /= 1000;
  return UNITS[unit](decimal(bytes, unit < 3 ? 0 : 1));
}

const part = (some, all) => translate('{some} of {all}', {some: size(some), all: size(all)});

function node(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function button(text, label, action) {
  const made = node('button', text, {type: 'button', 'aria-label': label});
  made.addEventListener('click', action);
  return made;
}

function meter(label, share, text) {
  const row = node('div', '', {class: 'rf-meter'}), bar = node('progress', '', {max: 1, value: Math.min(1, share || 0), 'aria-label': label});
  row.append(node('span', label), bar, node('b', text));
  return row;
}

async function ask(question, about) {
  let answer;
  try { answer = await server[question](about ?? null); } catch (error) { answer = {error: translate('The server did not answer; check that it is running.')}; }
  const said = find('.rf-machine-said');
  if (answer.error) said.textContent = answer.error;
  said.hidden = !answer.error;
  return answer.error ? null : answer;
}

async function lookLive() {
  const now = await ask('look_live');
  if (!now || !dialog.open) return;
  live = now;
  find('.rf-machine-live').replaceChildren(
    meter(translate('Memory'), live.memory_used / live.memory_total, part(live.memory_used, live.memory_total)),
    meter(translate('Processor'), live.processor, Math.round(100 * live.processor) + ' %'),
    ...live.gpus.flatMap((gpu) => [
      meter(gpu.name, gpu.used / gpu.total, part(gpu.used, gpu.total)),
      meter(translate('{name}, work', gpu), gpu.busy, Math.round(100 * gpu.busy) + ' %')]),
    ...(live.gpus.length ? [] : [node('p', translate('No NVIDIA GPU that can be asked.'))]));
  const under = Object.entries(live.downloads).filter(([, said]) => !said.over && !said.error).map(([name]) => name).join();
  const ended = fetched !== null && under !== fetched;
  fetched = under;
  if (ended) await lookDisk();
  showModels();
}

async function lookDisk() {
  const now = await ask('look_disk');
  if (!now) return;
  disk = now;
  const weights = disk.weights.reduce((sum, one) => sum + one.bytes, 0), used = disk.total - disk.free;
  find('.rf-machine-disk').replaceChildren(meter(translate('Disk'), used / disk.total, translate('{free} free of {all}', {free: size(disk.free), all: size(disk.total)})),
    node('p', translate('Projects {projects} · bin {bin} · models {models}', {projects: size(disk.projects_bytes), bin: size(disk.bin.bytes), models: size(weights)})));
  const rows = disk.projects.map((one) => row(one.name, size(one.bytes), button(translate('Delete'), translate('Delete {name}', one), () => deleteProject(one))));
  if (disk.bin.count) rows.push(row(translate('Bin · {count}, kept for a day', disk.bin), size(disk.bin.bytes), button(translate('Empty'), translate('Empty the bin'), emptyBin)));
  find('.rf-machine-projects').replaceChildren(...rows);
  showModels();
}

function row(name, text, ...others) {
  const made = node('li');
  made.append(node('b', name, {title: name}), node('span', text), ...others);
  return made;
}

function showModels() {
  if (!disk) return;
  const list = find('.rf-machine-models'), focused = document.activeElement?.getAttribute('aria-label');
  list.replaceChildren(...disk.weights.map((one) => {
    const made = row(one.name, '', node('small', one.note)), said = live?.downloads[one.name], here = made.querySelector('span');
    if (one.state === 'embedded') here.textContent = translate('comes with the project');
    else if (said && !said.over && !said.error) {
      here.textContent = said.total ? part(said.done, said.total) + (said.speed > 0 ? ' · ' + size(said.speed) + '/s' : '') : translate('asking…');
      made.append(node('progress', '', {...(said.total ? {max: 1, value: said.done / said.total} : {}), 'aria-label': translate('Fetching {name}', one)}));
      if (disk.owned) made.append(button(translate('Cancel'), translate('Cancel fetching {name}', one), () => change('cancel_fetch', one.name)));
    } else {
      here.textContent = one.state === 'here' ? translate('on this machine, {size}', {size: size(one.bytes)}) : one.state === 'partly' ? translate('{here} are here', {here: part(one.bytes, 1e9 * one.gigabytes)}) : translate('not here, {size}', {size: size(1e9 * one.gigabytes)});
      if (said?.error) made.append(node('em', said.error));
      if (disk.owned && one.state !== 'here') made.append(button(one.state === 'partly' ? translate('Go on') : translate('Fetch'), translate('Fetch {name}', one), () => change('fetch_weights', one.name)));
      if (disk.owned && one.bytes) made.append(button(translate('Remove'), translate('Remove {name}', one), () => removeWeights(one)));
    }
    return made;
  }));
  if (focused && !dialog.contains(document.activeElement)) list.querySelector('[aria-label="' + CSS.escape(focused) + '"]')?.focus();
}

async function change(question, name) {
  if (!await ask(question, name)) return;
  fetched = null;
  await lookLive();
  await lookDisk();
}

function removeWeights(one) {
  if (confirm(translate('Remove the weights of {name} ({size}) from this machine? They can be fetched again; other programs that share the Hugging Face cache would fetch them again, too.', {name: one.name, size: size(one.bytes)})))
    change('drop_weights', one.name);
}

async function emptyBin() {
  if (!confirm(translate('Remove what is in the bin for good? This cannot be undone.')) || !await ask('empty_bin')) return;
  await lookDisk();
  document.dispatchEvent(new CustomEvent('rf-rail', {detail: {what: 'refresh'}}));
}

function deleteProject(one) {
  if (!confirm(translate('Delete “{name}”? The bin keeps it for a day, and then its room is free.', one))) return;
  document.dispatchEvent(new CustomEvent('rf-rail', {detail: {what: 'delete', id: one.id}}));
  waitUntilGone(one.id);
}

// One that is in work is asked to stop first, which takes a while.
async function waitUntilGone(id) {
  for (let look = 0; look < 15 && dialog.open && disk.projects.some((one) => one.id === id); look++) {
    await new Promise((done) => setTimeout(done, LOOK / 2));
    await lookDisk();
  }
}

function tend() {
  clearTimeout(timer);
  if (!dialog.open || !element.isConnected) return;
  lookLive().finally(() => { timer = setTimeout(tend, LOOK); });
}

document.addEventListener('rf-machine', () => {
  if (!element.isConnected || dialog.open) return;
  dialog.showModal();
  fetched = null;
  lookDisk();
  tend();
});
dialog.addEventListener('click', (event) => { if (event.target === dialog || event.target.closest('[data-do=close]')) dialog.close(); });
