// ── a reference beside the seed's picture, and the points that both show ──

const MOST = 160; // lines drawn at once
const AROUND = 0.12; // of what is looked at, is seen around it on every side

// The part of a picture, as shares, in which points lie and something around them; never smaller than `least`.
function part_around(points, least = [0, 0]) {
  if (!points.length) return WHOLE;
  const spans = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]), low = Math.min(...values), high = Math.max(...values);
    const half = Math.max((high - low) * (0.5 + AROUND), least[axis] / 2), middle = (low + high) / 2;
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  });
  return [spans[0][0], spans[1][0], spans[0][1], spans[1][1]];
}

const name_reference = () => translate('Reference {number}', {number: reference + 1});

function show_pair() {
  const shown = seen.refs[reference];
  if (!shown) return lay_out([]);
  const near = close_up ? part_around(seen.outline.flat()) : WHOLE;
  const size = [near[2] - near[0], near[3] - near[1]];
  const known = close_up && shown.lines ? part_around(shown.lines.map(([x, y]) => [x, y]), size) : WHOLE;
  lay_out([
    {url: shown.url, name: name_reference(), w: shown.w, h: shown.h, part: known},
    {url: seen.crop.url, name: seen.name, w: seen.crop.w, h: seen.crop.h, part: near, outline: seen.outline},
  ]);
}

const is_inside = ({room}, x, y) => x >= room.x && x <= room.x + room.w && y >= room.y && y <= room.y + room.h;

// The lines between points that are seen in both pictures.
function draw_threads() {
  const points = mode === 'matches' && panes.length === 2 ? seen.refs[reference].lines ?? [] : [];
  const step = Math.max(1, points.length / MOST), parts = [];
  for (let i = 0; i < points.length; i += step) {
    const [rx, ry, tx, ty] = points[Math.floor(i)], [one, two] = panes;
    const x1 = one.at.x + rx * one.at.w, y1 = one.at.y + ry * one.at.h, x2 = two.at.x + tx * two.at.w, y2 = two.at.y + ty * two.at.h;
    if (!is_inside(one, x1, y1) || !is_inside(two, x2, y2)) continue;
    const colour = 'hsl(' + Math.round(360 * tx) + ' 85% ' + Math.round(50 + 18 * ty) + '%)'; // neighbours look alike
    parts.push(svg('line', {x1, y1, x2, y2, stroke: colour, class: 'rf-match'}));
    parts.push(svg('circle', {cx: x1, cy: y1, r: 2.4, fill: colour}), svg('circle', {cx: x2, cy: y2, r: 2.4, fill: colour}));
  }
  threads.replaceChildren(...parts);
}

function pair_note() {
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

function list_references() {
  const list = find('.rf-refs');
  list.replaceChildren(...seen.refs.map((ref, index) => {
    const button = make('button', '', {type: 'button'}), count = ref.count === null || mode === 'blind' ? '' : String(ref.count);
    button.setAttribute('role', 'radio');
    button.setAttribute('aria-checked', String(index === reference));
    button.setAttribute('aria-label', count ? translate('Reference {number}, {count} matches', {number: index + 1, count}) : translate('Reference {number}', {number: index + 1}));
    button.append(make('img', '', {alt: '', src: ref.thumb, loading: 'lazy'}), make('span', '', {textContent: count}));
    button.addEventListener('click', () => { reference = index; show(); list.children[index].focus(); });
    return button;
  }));
}
