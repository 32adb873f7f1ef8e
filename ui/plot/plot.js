const canvas = element.querySelector('canvas'), room = element.querySelector('.rf-canvas'), read = element.querySelector('.rf-read');
const empty = element.querySelector('.rf-empty');
const LEFT = 62, RIGHT = 14, TOP = 10, BOTTOM = 42;
const NOTHING = {total: 1, raw: [], smooth: [], held: []};
let data = NOTHING, pointer = null;

const exact = (loss) => loss.toPrecision(3).replace('.', realfillWords.decimal);

function ticks(low, high, most) {
  const span = high - low || 1, rough = span / most, ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
}

function range() {
  const values = data.raw.map((point) => point[1]).sort((a, b) => a - b);
  const smooth = [...data.smooth, ...data.held].map((point) => point[1]);
  // single steps lie far off: the scale is that of the smoothed line and of nine steps in ten
  const at = (share) => values[Math.floor(share * (values.length - 1))];
  const high = Math.max(at(0.95), ...smooth), low = Math.min(at(0.05), ...smooth);
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [Math.max(0, low - margin), high + margin];
}

function draw() {
  const there = data.raw.length > 0;
  canvas.hidden = !there;
  empty.hidden = there;
  element.querySelector('.rf-held').hidden = !data.held.length;
  const width = room.clientWidth, height = room.clientHeight, dense = window.devicePixelRatio || 1;
  if (!there || width < 80 || height < 80) return;
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  const pen = canvas.getContext('2d'), style = getComputedStyle(element.querySelector('.rf-plot'));
  const colour = (name) => style.getPropertyValue(name).trim();
  pen.scale(dense, dense);
  pen.font = '12px ' + style.fontFamily;
  const [low, high] = range(), total = Math.max(1, data.total);
  const x = (step) => LEFT + (width - LEFT - RIGHT) * step / total;
  const y = (loss) => TOP + (height - TOP - BOTTOM) * (1 - (loss - low) / (high - low));
  pen.strokeStyle = colour('--rf-rule');
  pen.fillStyle = colour('--rf-quiet');
  pen.lineWidth = 1;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  const across = ticks(low, high, Math.max(2, height / 70));
  const digits = Math.max(0, Math.min(5, Math.ceil(-Math.log10((across[1] ?? high) - across[0] || 1) + 1e-9)));
  for (const loss of across) {
    const at = Math.round(y(loss)) + 0.5;
    pen.beginPath(); pen.moveTo(LEFT, at); pen.lineTo(width - RIGHT, at); pen.stroke();
    pen.fillText(decimal(loss, digits), LEFT - 8, at);
  }
  pen.textAlign = 'center';
  for (const step of ticks(0, total, Math.max(2, width / 110))) pen.fillText(String(Math.round(step)), x(step), height - BOTTOM + 14);
  pen.fillText(translate('training step'), LEFT + (width - LEFT - RIGHT) / 2, height - 5);
  pen.save(); pen.translate(9, TOP + (height - TOP - BOTTOM) / 2); pen.rotate(-Math.PI / 2); pen.fillText(translate('loss'), 0, 0); pen.restore();
  pen.save();
  pen.beginPath(); pen.rect(LEFT, 0, width - LEFT, height - BOTTOM + 2); pen.clip();
  line(pen, data.raw, x, y, colour('--rf-raw'), 1.2);
  line(pen, data.smooth, x, y, colour('--rf-accent'), 2.4);
  line(pen, data.held, x, y, colour('--rf-held'), 1.6);
  for (const [step, loss] of data.held) { pen.beginPath(); pen.arc(x(step), y(loss), 3, 0, 7); pen.fill(); }
  pen.restore();
  tell(pen, x, y, colour, width, height);
}

function line(pen, points, x, y, colour, width) {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = width;
  pen.lineJoin = 'round';
  pen.beginPath();
  for (const [step, loss] of points) pen.lineTo(x(step), y(loss));
  pen.stroke();
  if (points.length === 1) { pen.beginPath(); pen.arc(x(points[0][0]), y(points[0][1]), 3, 0, 7); pen.fill(); }
}

function tell(pen, x, y, colour, width, height) {
  const last = data.smooth[data.smooth.length - 1];
  canvas.setAttribute('aria-label', translate('Loss over {total} steps; at step {step} it is {loss}, smoothed', {total: data.total, step: last[0], loss: exact(last[1])}));
  if (pointer === null) { read.textContent = ''; return; }
  let at = 0;
  data.raw.forEach((point, index) => { if (Math.abs(x(point[0]) - pointer) < Math.abs(x(data.raw[at][0]) - pointer)) at = index; });
  const [step, raw] = data.raw[at], smooth = data.smooth[at][1];
  pen.strokeStyle = colour('--rf-quiet');
  pen.beginPath(); pen.moveTo(Math.round(x(step)) + 0.5, TOP); pen.lineTo(Math.round(x(step)) + 0.5, height - BOTTOM); pen.stroke();
  pen.fillStyle = colour('--rf-accent');
  pen.beginPath(); pen.arc(x(step), y(smooth), 4, 0, 7); pen.fill();
  const held = data.held.find((point) => point[0] === step);
  const places = {step, raw: exact(raw), smooth: exact(smooth), held: held && exact(held[1])};
  read.textContent = held ? translate('step {step} · {raw} · smoothed {smooth} · held out {held}', places) : translate('step {step} · {raw} · smoothed {smooth}', places);
}

canvas.addEventListener('pointermove', (event) => { pointer = event.clientX - canvas.getBoundingClientRect().left; draw(); });
canvas.addEventListener('pointerleave', () => { pointer = null; draw(); });
new ResizeObserver(draw).observe(room);
new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ['class']});
function take() { data = props.value && props.value.raw ? {...NOTHING, ...props.value} : NOTHING; draw(); }
watch('value', take);
take();
