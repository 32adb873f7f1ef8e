// ── several seeds beside each other, and two without their names ──

const looked = new Map(); // frames that were asked for, by all that they show
const kept = new Map(); // those that have come
let count = 2; // seeds beside each other
let blind = null; // two seeds that are compared: {seeds, chosen, told}
let picks = []; // [truer, other] of this run, in the order made
let skipped = []; // pairs that were found alike in this tab

const cells = () => shared.grid?.run === run ? shared.grid.cells : [];
const cell_of = (seed) => cells().find((cell) => cell.seed === seed);
const frame_name = () => close_up ? 'close' : 'whole';

async function ask(question, about) {
  const answer = await server[question]({project: run, export: seen.export, ...about});
  if (answer.error) throw new Error(answer.error);
  return answer;
}

function key_of(seed, sharp) {
  return JSON.stringify([run, seed, cell_of(seed)?.url, seen.export.feather, seen.export.match_colour, sharp]);
}

// Has a seed's frames made and shows them when they are there.
function want_frames(seed, sharp = false) {
  const key = key_of(seed, sharp), asked = run;
  if (looked.has(key)) return;
  looked.set(key, true);
  ask('look_at', {seed, sharp}).then((frames) => { kept.set(key, frames); if (seen && run === asked) show(); })
    .catch((error) => { if (sharp) return; looked.delete(key); if (seen && run === asked) tell(error.message); });
}

// The frame of a seed as well as it is known; null: not yet.
function frame_of(seed) {
  const known = kept.get(key_of(seed, true)) ?? (seed === seen.seed ? seen.frames : kept.get(key_of(seed, false)));
  if (!known) want_frames(seed);
  return known?.[frame_name()] ?? null;
}

let sharpening = 0;

// Sharper pictures, once somebody looks closer than the ones that are shown allow.
function want_sharp() {
  clearTimeout(sharpening);
  const shown = mode === 'compare' ? [seen.seed] : panes.map((pane) => pane.seed).filter((seed) => seed !== undefined);
  const coarse = panes.some(({unit, w, h}) => Math.max(w, h) > PREVIEW && unit * view.scale * density() > 1.25 * PREVIEW / Math.max(w, h));
  if (coarse && shown.length) sharpening = setTimeout(() => { for (const seed of shown) want_frames(seed, true); }, 250);
}

// The seeds to show beside each other: those that were pinned, the one that is chosen, and the ones after it.
function list_seeds() {
  const order = cells().map((cell) => cell.seed), at = Math.max(0, order.indexOf(seen.seed));
  const wanted = [...new Set([...(shared.grid?.pins ?? []), seen.seed, ...order.slice(at), ...order.slice(0, at)])];
  return wanted.slice(0, Math.max(count, Math.min(4, shared.grid?.pins.length ?? 0)));
}

function describe(seed) {
  const cell = cell_of(seed), name = cell?.name ?? seen.name;
  return name + (cell?.rank ? ' · #' + cell.rank : '');
}

function caption(seed) {
  const cell = cell_of(seed), name = make('button', 'rf-name', {type: 'button', textContent: describe(seed), title: translate('Take this one for export')});
  name.dataset.pick = seed;
  name.setAttribute('aria-pressed', String(seed === seen.seed));
  if (!cell) return [name];
  const star = make('button', 'rf-star-one', {type: 'button', textContent: '★', title: translate('Star')});
  star.dataset.starOne = seed;
  star.setAttribute('aria-pressed', String(cell.star));
  star.setAttribute('aria-label', translate('Star {name}', cell));
  const pin = make('button', 'rf-pin-one', {type: 'button', textContent: translate('Keep'), title: translate('Keep this one here while you step through the others (P in the grid)')});
  pin.dataset.pinOne = seed;
  pin.setAttribute('aria-pressed', String(shared.grid.pins.includes(seed)));
  return shared.grid.fixed ? [name, pin] : [name, star, pin];
}

// What a pane shows of a seed; until its picture is there, the target as it was, paler.
function seed_picture(seed, words) {
  const own = seen.frames[frame_name()], shot = frame_of(seed);
  return {seed, coming: !shot, url: (shot ?? own)[shot ? 'after' : 'before'], name: words.name, w: own.w, h: own.h, part: WHOLE, caption: words.caption};
}

function show_seeds() {
  lay_out(list_seeds().map((seed) => seed_picture(seed, {name: describe(seed), caption: caption(seed)})));
}

// ── which of two is truer? ──

const same_pair = ([a, b], [c, d]) => (a === c && b === d) || (a === d && b === c);
const count_picks = (seed, place) => picks.filter((pick) => pick[place] === seed).length;

// Two seeds that were not compared yet, of those that were compared least; null: all were.
function next_pair() {
  const seeds = cells().map((cell) => cell.seed), pairs = [];
  for (let one = 0; one < seeds.length; one++) for (let two = one + 1; two < seeds.length; two++) pairs.push([seeds[one], seeds[two]]);
  const fresh = pairs.filter((pair) => ![...picks, ...skipped].some((known) => same_pair(known, pair)));
  const tried = (seed) => count_picks(seed, 0) + count_picks(seed, 1) + skipped.filter((pair) => pair.includes(seed)).length;
  const weights = fresh.map(([a, b]) => tried(a) + tried(b) + Math.random() / 2);
  const pair = fresh[weights.indexOf(Math.min(...weights))];
  return pair ? (Math.random() < 0.5 ? pair : [pair[1], pair[0]]) : null;
}

function begin_blind() {
  if (!seen) return;
  blind = {seeds: next_pair(), chosen: null, told: ''};
  mode = 'blind';
  show();
  find('[data-truer="0"]').focus();
}

function end_blind() {
  blind = null;
  mode = 'compare';
  show();
}

// The seed that won most of its comparisons, in words.
function leader() {
  const known = [...new Set(picks.flat())].filter(cell_of);
  const best = known.sort((a, b) => count_picks(b, 0) - count_picks(a, 0) || count_picks(a, 1) - count_picks(b, 1))[0];
  if (best === undefined) return '';
  const places = {name: cell_of(best).name, won: count_picks(best, 0), times: count_picks(best, 0) + count_picks(best, 1)};
  return ' ' + translate('Most often truer: {name}, {won} of {times}.', places);
}

async function choose(which) {
  if (!blind?.seeds || blind.chosen !== null) return;
  const turn = blind, pair = blind.seeds;
  turn.chosen = which;
  if (which === 'alike') {
    skipped.push(pair);
    turn.told = translate('Both alike: {one} and {other}.', {one: describe(pair[0]), other: describe(pair[1])});
  } else {
    const [winner, loser] = which === 0 ? pair : [pair[1], pair[0]];
    picks = [...picks, [winner, loser]];
    turn.told = translate('You found {winner} truer than {loser}.', {winner: describe(winner), loser: describe(loser)});
    if (!shared.grid.fixed) {
      try {
        const answer = await ask('prefer', {winner, loser});
        picks = answer.picks;
        document.dispatchEvent(new CustomEvent('rf-stars', {detail: answer.starred}));
      } catch (error) { turn.told = error.message; }
    }
  }
  turn.told += leader();
  if (blind === turn) { show(); find('[data-truer=next]').focus(); }
}

function show_blind() {
  const {seeds, chosen} = blind, shown = seen.refs[reference], letters = ['A', 'B'];
  find('[data-for=blind]').dataset.told = chosen === null && seeds ? 'no' : 'yes';
  find('[data-truer=next]').hidden = !next_pair();
  if (!seeds) return lay_out([]);
  const words = (seed, index) => {
    const told = chosen !== null, name = told ? letters[index] + ' · ' + describe(seed) : letters[index];
    const label = make('span', 'rf-letter', {textContent: name});
    label.dataset.won = String(chosen === index);
    return {name, caption: [label]};
  };
  const pictures = seeds.map((seed, index) => seed_picture(seed, words(seed, index)));
  const wide = stage.clientWidth >= 560; // on a phone two are all that can be told apart
  const known = shown?.lines && close_up ? part_around(shown.lines.map(([x, y]) => [x, y]), [0.4, 0.4]) : WHOLE;
  const label = make('span', 'rf-letter', {textContent: name_reference()});
  lay_out(wide && shown ? [...pictures, {url: shown.url, name: label.textContent, w: shown.w, h: shown.h, part: known, caption: [label]}] : pictures);
}

const blind_note = () => blind.seeds ? blind.told || translate('Which of the two is truer to the place?') : translate('All pairs of these are compared.') + leader();
