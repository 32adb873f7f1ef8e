// ── what is shown of the seed ──

function show_compare() {
  const shot = frame_of(seen.seed);
  source(find('.rf-before'), shot.before);
  source(find('.rf-after'), shot.after);
  find('.rf-before').alt = translate('The target');
  find('.rf-after').alt = translate('The target filled in: {name}', seen);
  const layer = find('.rf-over');
  layer.hidden = find('.rf-legend').hidden = !over || !shot.over;
  source(layer, shot.over);
  const box = stage.getBoundingClientRect();
  panes = [{paper: frame, w: shot.w, h: shot.h, part: WHOLE, room: {x: 0, y: 0, w: box.width, h: box.height}}];
  fit(panes[0]);
  place_view();
}

function note() {
  if (mode === 'blind') return blind_note();
  if (mode === 'seeds') return list_seeds().length > 1 ? '' : translate('There is only one seed here yet.');
  return mode === 'compare' ? seen.note || '' : pair_note();
}

let telling = 0;

// A sentence in place of the note, for a while.
function tell(sentence) {
  find('.rf-note').textContent = sentence;
  clearTimeout(telling);
  telling = setTimeout(() => { if (seen) find('.rf-note').textContent = note(); }, 6000);
}

const SHOW = {compare: show_compare, beside: show_pair, matches: show_pair, seeds: show_seeds, blind: show_blind};

function layout() {
  if (seen && stage.clientWidth > 40 && stage.clientHeight > 40) SHOW[mode]();
}

function show() {
  find('.rf-viewer').hidden = !seen;
  find('.rf-none').hidden = !!seen;
  find('.rf-none').textContent = shared.grid?.cells.length ? translate('Choose a seed to see it here.') : translate('The best one appears here when it is made.');
  if (!seen) return;
  const tabs = all('[data-mode]'), chosen = tabs.find((tab) => tab.dataset.mode === mode);
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', String(tab === chosen));
    tab.tabIndex = tab === (chosen ?? tabs[0]) ? 0 : -1;
  }
  for (const button of all('[data-frame]')) button.setAttribute('aria-checked', String((button.dataset.frame === 'close') === close_up));
  for (const button of all('[data-count]')) button.setAttribute('aria-checked', String(Number(button.dataset.count) === count));
  for (const part of all('[data-for]')) part.hidden = !part.dataset.for.split(' ').includes(mode);
  find('[data-over]').hidden ||= !seen.frames.whole.over;
  find('[data-over]').setAttribute('aria-pressed', String(over));
  find('.rf-title').textContent = mode === 'seeds' || mode === 'blind' ? '' : seen.title;
  for (const button of all('.rf-icon[data-mark]')) button.setAttribute('aria-pressed', String(button.dataset.mark === 'starred' ? seen.star : seen.hide));
  find('.rf-legend').hidden = true;
  list_references();
  find('.rf-note').textContent = note();
  find('.rf-panes').setAttribute('aria-label', note());
  layout();
}

function set_wipe() {
  frame.style.setProperty('--wipe', wipe.value + '%');
  wipe.setAttribute('aria-valuetext', translate('{share} % before', {share: Math.round(wipe.value)}));
}

function large(on) {
  for (const place of [document.body, element.closest('#desk')]) place?.classList.toggle('rf-is-large', on); // within @media only the desk's counts, as the rail's
  find('[data-large]').setAttribute('aria-pressed', String(on));
  requestAnimationFrame(show);
}

function mark(seed, kind) {
  document.dispatchEvent(new CustomEvent('rf-mark', {detail: {seed, kind}}));
}

const ACTIONS = {
  mode: (button) => { mode = button.dataset.mode; blind = null; show(); },
  frame: (button) => { close_up = button.dataset.frame === 'close'; show(); },
  count: (button) => { count = Number(button.dataset.count); show(); },
  over: () => { over = !over; show(); },
  zoom: () => zoom(view.scale === 1 ? trueScale() : 1),
  share,
  copy,
  step: (button) => document.dispatchEvent(new CustomEvent('rf-step', {detail: button.dataset.step})),
  large: () => large(!document.body.classList.contains('rf-is-large')),
  pick: (button) => document.dispatchEvent(new CustomEvent('rf-pick', {detail: Number(button.dataset.pick)})),
  starOne: (button) => mark(Number(button.dataset.starOne), 'starred'),
  pinOne: (button) => document.dispatchEvent(new CustomEvent('rf-pin', {detail: Number(button.dataset.pinOne)})),
  mark: (button) => {
    const name = button.dataset.mark === 'starred' ? 'star' : 'hide';
    seen[name] = !seen[name];
    button.setAttribute('aria-pressed', String(seen[name]));
    mark(seen.seed, button.dataset.mark);
  },
  truer: (button) => {
    const asked = button.dataset.truer;
    if (asked === 'next') begin_blind();
    else if (asked === 'end') end_blind();
    else choose(asked === 'alike' ? asked : Number(asked));
  },
};

wipe.addEventListener('input', set_wipe);
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || !seen) return;
  const name = Object.keys(ACTIONS).find((one) => one in button.dataset);
  if (name) ACTIONS[name](button);
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
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && document.body.classList.contains('rf-is-large')) return large(false);
  if (!seen || !element.isConnected || !element.offsetParent || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.('input:not([type=range]), textarea, [contenteditable=true]')) return;
  if (event.key === '+' || event.key === '=') zoom(view.scale * 1.25);
  else if (event.key === '-') zoom(view.scale / 1.25);
  else if (event.key === '0') zoom(view.scale === 1 ? trueScale() : 1);
  else if (mode === 'blind' && (event.key === 'a' || event.key === 'b')) choose(event.key === 'a' ? 0 : 1);
});
document.addEventListener('rf-large', () => { if (element.isConnected) large(!document.body.classList.contains('rf-is-large')); });
document.addEventListener('rf-blind', () => { if (element.isConnected) begin_blind(); });
document.addEventListener('rf-cells', () => { if (element.isConnected && (!seen || mode === 'seeds')) show(); });
new ResizeObserver(layout).observe(stage);

function take() {
  const value = props.value || null;
  seen = value && value.seed !== null && value.seed !== undefined ? JSON.parse(JSON.stringify(value)) : null;
  if (!seen) { large(false); show(); return; }
  if (value.run !== run) {
    run = value.run;
    Object.assign(view, {scale: 1, x: 0, y: 0});
    [reference, skipped, picks] = [0, [], seen.picks];
    for (const known of [looked, kept]) known.clear();
    if (mode === 'blind') { mode = 'compare'; blind = null; }
  }
  if (reference >= seen.refs.length) reference = 0;
  show();
  document.dispatchEvent(new CustomEvent('rf-shown', {detail: {run, seed: seen.seed}}));
}
watch('value', take);
set_wipe();
take();
