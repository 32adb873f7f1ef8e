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
  const shot = frame_of(seen.seed), link = document.createElement('a');
  link.href = (await sheet([shot.before, shot.after])).toDataURL('image/jpeg', 0.92);
  link.download = seen.name.replace(/[^\w-]+/g, '-') + '-before-after.jpg';
  link.click();
  said(button, translate('Saved'));
}

// The finished picture at the photo's own size, as a file of the server: {key, url, name}, or a promise of it.
let result = null;

async function want_result() {
  const key = key_of(seen.seed, true);
  if (result?.key === key) return result.file;
  const file = ask('give_result', {seed: seen.seed});
  result = {key, file, ready: null};
  const mine = result;
  try {
    mine.ready = await file;
    mine.ready.url = new URL(mine.ready.url, document.baseURI).href;
  } catch (error) { if (result === mine) result = null; throw error; }
  return mine.ready;
}

async function copy(button) {
  try {
    // given as a promise: a browser takes a picture only while it remembers the click
    const picture = want_result().then(async ({url}) => (await fetch(url)).blob());
    await navigator.clipboard.write([new ClipboardItem({'image/png': picture})]);
    said(button, translate('Copied'));
  } catch (error) { said(button, translate('Not allowed here')); } // only over https or on this machine
}

const handle = find('[data-drag]');
for (const kind of ['pointerenter', 'focus']) handle.addEventListener(kind, () => { if (seen) want_result().catch((error) => tell(error.message)); });
handle.addEventListener('dragstart', (event) => {
  const file = seen && result?.key === key_of(seen.seed, true) ? result.ready : null;
  if (!file) { event.preventDefault(); return said(handle, translate('One moment')); }
  event.dataTransfer.effectAllowed = 'copy';
  event.dataTransfer.setData('DownloadURL', 'image/png:' + file.name + ':' + file.url); // to the desktop, in Chromium
  event.dataTransfer.setData('text/uri-list', file.url);
  event.dataTransfer.setDragImage(find('.rf-after'), 24, 24);
});
