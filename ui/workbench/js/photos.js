// References and target: from files or from the server's answers to what is shown of them.

const thumbs = part("thumbs");
let photoKeys = 0;
const shares = new Map(); // "reference path|target path" → the server's answer, or null while it looks
let looking = false;

const urlOf = (path) => "gradio_api/file=" + path.split("/").map(encodeURIComponent).join("/");

function addReferences(files) {
  const room = Math.max(MOST_REFERENCES - state.references.length, 0);
  const added = files.slice(0, room).map(newPhoto), left = files.length - added.length;
  if (added.length) commit({ references: [...state.references, ...added] });
  if (left) say(left === 1
    ? translate("A scene takes at most {most} references; {name} was left out.", { most: MOST_REFERENCES, name: files[files.length - 1].name })
    : translate("A scene takes at most {most} references; {count} photos were left out.", { most: MOST_REFERENCES, count: left }), "bad");
  for (const photo of added) bringReference(photo);
}

function newPhoto(file) {
  return { key: ++photoKeys, name: file.name || "pasted.png", file, waiting: true, path: null, thumb: URL.createObjectURL(file) };
}

async function bringReference(photo) {
  const answer = await bring(photo.file, (path) => ask("take_reference", { path }));
  URL.revokeObjectURL(photo.thumb);
  Object.assign(photo, { waiting: false, file: null });
  if (answer.error) {
    say(answer.error, "bad");
    forget(photo);
  } else {
    Object.assign(photo, { path: answer.path, thumb: urlOf(answer.thumb) });
    if (answer.notice) say(answer.notice);
    const twin = state.references.find((other) => other !== photo && other.path === photo.path);
    if (twin && state.references.includes(photo)) {
      say(translate("{name} is among the references already.", photo));
      forget(photo);
    }
  }
  showAll();
  publish();
}

// Takes a photo that cannot be used out of the scene and out of its history.
function forget(photo) {
  const without = (scene) => ({ ...scene, references: scene.references.filter((other) => other !== photo) });
  for (const list of [done, undone]) list.forEach((scene, at) => { list[at] = without(scene); });
  state = without(state);
}

function forgetTarget(target) {
  while (state.target === target && done.length) undo();
  undone.length = 0;
}

function removeReference(photo) {
  commit({ references: state.references.filter((other) => other !== photo) });
  say(translate("{name} was removed. Ctrl+Z brings it back.", photo));
  (thumbs.querySelector("button") ?? stage).focus();
}

// ── target ──

let latest = 0; // the key of the target that was asked for last
let arriving = null; // the name of one that is on its way and cannot be shown yet

async function setTarget(file) {
  const target = { key: ++photoKeys, name: file.name || "pasted.png", file, waiting: true, path: null, width: 0, height: 0 };
  latest = target.key;
  arriving = target.name;
  showAll();
  const showing = showPicture(target, URL.createObjectURL(file)).then(() => place(target), () => null);
  const answer = await bring(file, (path) => ask("take_target", { path }));
  await showing;
  Object.assign(target, { waiting: false, file: null });
  if (answer.error) {
    say(answer.error, "bad");
    forgetTarget(target);
  } else await settle(target, answer);
  if (latest === target.key) arriving = null;
  showAll();
  publish();
}

// Photo and server agree on the size; where the browser shows it otherwise, the server's own picture is taken.
async function settle(target, answer) {
  const same = target.small && target.width === answer.width && target.height === answer.height;
  Object.assign(target, { path: answer.path, name: answer.name, width: answer.width, height: answer.height });
  if (!same) {
    const odd = target.small ? await trying(ask("take_target", { path: answer.path, preview: true })) : answer;
    try {
      await showPicture(target, urlOf(odd.picture));
    } catch {
      say(translate("{name} cannot be shown; save it as JPEG or PNG.", target), "bad");
      return forgetTarget(target);
    }
    if (state.target === target) showTarget(); else place(target);
  }
  if (answer.notice) say(answer.notice);
  if (answer.strokes && state.target === target && !state.strokes) commit({ strokes: answer.strokes });
}

function place(target) {
  if (latest !== target.key) return; // another one was dropped meanwhile
  arriving = null;
  commit({ target, strokes: null, extend: [0, 0, 0, 0], mask: null, name: "" });
}

// Decodes a picture into what the canvas draws; the full picture follows for looking close.
async function showPicture(target, url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } finally {
    if (url.startsWith("blob:")) URL.revokeObjectURL(url);
  }
  const width = image.naturalWidth, height = image.naturalHeight;
  if (!target.width) Object.assign(target, { width, height });
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const small = document.createElement("canvas");
  small.width = Math.max(1, Math.round(width * scale));
  small.height = Math.max(1, Math.round(height * scale));
  const layer = small.getContext("2d");
  layer.imageSmoothingQuality = "medium";
  layer.drawImage(image, 0, 0, small.width, small.height);
  target.small = small;
  target.full = null;
  if (scale < 1 && width * height < 26e6)
    setTimeout(() => createImageBitmap(image).then((full) => { target.full = full; draw(); }, () => null), 400);
}

// ── all that is seen of the scene beside the canvas ──

function showAll() {
  showReferences();
  const { target, extend, strokes, variants } = state;
  const line = arriving ? translate("Reading {name}…", { name: arriving }) : target ? target.name + " · " + target.width + " × " + target.height : touch ? "" : translate("Drop it on the canvas.");
  part("target").textContent = line;
  part("target").title = target ? line : "";
  for (const button of element.querySelectorAll("[data-needs=target]")) button.disabled = !target;
  for (const input of [...sideInputs, unit]) input.disabled = !target;
  element.querySelector("[data-do=make-reference]").disabled = !target?.path;
  element.querySelector("[data-do=undo]").disabled = !done.length;
  element.querySelector("[data-do=redo]").disabled = !undone.length;
  element.querySelector("[data-do=save-scene]").disabled = !target || !state.references.length;
  for (const radio of element.querySelectorAll("[name=wb-fill]")) radio.checked = (radio.value === "variants") === variants;
  stage.dataset.variants = variants ? "yes" : "no";
  tellSteps();
  if (!target) { part("about").textContent = part("marked").textContent = ""; return; }
  const frame = frameNow();
  part("about").textContent = extend.some(Boolean) ? translate("{width} × {height} with the new part", frame) : target.width + " × " + target.height;
  const area = target.width * target.height, all = frame.width * frame.height;
  const share = variants ? 1 : (shareIn(strokes) * area + all - area) / all;
  part("marked").textContent = variants ? translate("everything is filled in") : share ? translate("{share} % marked", { share: decimal(100 * share, share < 0.1 ? 1 : 0) }) : translate("nothing marked yet");
}

function shareIn(strokes) {
  if (!strokes) return 0;
  strokes.share ??= shareOf(fromBase64(strokes.runs), strokes.width * strokes.height);
  return strokes.share;
}

let shownThumbs = "";

function showReferences() {
  if (carried) return; // all is shown again when it is put down
  const seen = state.references.map((photo) => [photo.key, photo.thumb, photo.waiting, shareOfPhoto(photo)]);
  const now = JSON.stringify(seen);
  if (now === shownThumbs && thumbs.childElementCount) return; // strokes change nothing here
  shownThumbs = now;
  part("count").textContent = translate("{count} of {most}", { count: state.references.length, most: MOST_REFERENCES });
  const wanted = state.references.map((photo) => thumbOf(photo));
  if (state.references.length < MOST_REFERENCES) wanted.push(addTile());
  const focused = thumbs.contains(document.activeElement) && document.activeElement;
  const at = focused ? [...thumbs.children].findIndex((item) => item.contains(focused)) : -1;
  thumbs.replaceChildren(...wanted);
  if (focused) thumbs.children[at]?.querySelector("." + (focused.className || "none"))?.focus();
  const weak = state.references.flatMap((photo, at) => (shareOfPhoto(photo)?.little ? [at + 1] : []));
  const same = state.references.findIndex((photo) => shareOfPhoto(photo)?.same) + 1;
  part("overlap").textContent = same ? translate("Reference {number} is the target itself and shows nothing more. Add other photos of the place.", { number: same }) :
    !weak.length ? "" : weak.length === 1
      ? translate("Reference {number} shares little with the target. That can be right; photos of the same things from a similar side help most.", { number: weak[0] })
      : translate("References {numbers} and {last} share little with the target. That can be right; photos of the same things from a similar side help most.",
        { numbers: weak.slice(0, -1).join(", "), last: weak[weak.length - 1] });
}

function thumbOf(photo) {
  const item = document.createElement("li"), number = state.references.indexOf(photo) + 1;
  item.className = "thumb";
  item.dataset.waiting = photo.waiting ? "yes" : "no";
  item.title = photo.name;
  const image = document.createElement("img"), carry = document.createElement("button"), count = document.createElement("span");
  image.alt = translate("Reference {number}: {name}", { number, name: photo.name });
  image.src = photo.thumb;
  image.draggable = false;
  carry.type = "button";
  carry.className = "carry";
  carry.setAttribute("aria-describedby", "wb-carry");
  carry.append(image, count);
  carry.addEventListener("pointerdown", (event) => carryDown(event, photo, item));
  carry.addEventListener("keydown", (event) => carryKey(event, photo));
  count.className = "number";
  count.textContent = number;
  count.setAttribute("aria-hidden", "true");
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "remove";
  remove.setAttribute("aria-label", translate("Remove reference {number}, {name}", { number, name: photo.name }));
  remove.innerHTML = element.querySelector("[data-do=hush]").innerHTML;
  remove.addEventListener("click", () => removeReference(photo));
  item.append(carry, remove);
  const share = shareOfPhoto(photo);
  if (share && "shared" in share) {
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.dataset.little = share.little ? "yes" : "no";
    badge.textContent = share.shared === 1 ? translate("1 match") : translate("{count} matches", { count: share.shared });
    badge.title = translate("Points of the target that this reference shows as well");
    carry.append(badge);
  }
  return item;
}

// ── their order: dragged, or by keys ──

let carried = null; // {photo, item, x, y, moved, over} while a thumbnail is dragged

function moveReference(photo, to) {
  const from = state.references.indexOf(photo), others = state.references.filter((other) => other !== photo);
  const place = Math.min(Math.max(to, 0), others.length);
  if (from < 0 || place === from) return;
  commit({ references: [...others.slice(0, place), photo, ...others.slice(place)] });
  part("order").textContent = translate("{name} is reference {number} of {count} now.", { name: photo.name, number: place + 1, count: state.references.length });
}

function carryKey(event, photo) {
  const at = state.references.indexOf(photo);
  const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: MOST_REFERENCES }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Delete") return removeReference(photo);
  if (event.key.toLowerCase() === "t") return makeTarget(photo);
  if (to === undefined) return;
  event.preventDefault();
  moveReference(photo, to);
  thumbs.children[state.references.indexOf(photo)]?.querySelector(".carry").focus();
}

function carryDown(event, photo, item) {
  if (event.button !== 0) return;
  carried = { photo, item, x: event.clientX, y: event.clientY, moved: false, over: null };
  event.currentTarget.setPointerCapture(event.pointerId);
}

function carryMove(event) {
  if (!carried) return;
  const across = event.clientX - carried.x, down = event.clientY - carried.y;
  if (!carried.moved && Math.hypot(across, down) < 6) return;
  carried.moved = true;
  carried.item.dataset.carried = "yes";
  carried.item.style.transform = "translate(" + across + "px," + down + "px)";
  const under = document.elementsFromPoint(event.clientX, event.clientY).map((node) => node.closest(".thumb"));
  const over = under.find((item) => item && item !== carried.item && thumbs.contains(item)) ?? null;
  carried.over?.removeAttribute("data-over");
  carried.over = over;
  if (over) over.dataset.over = [...thumbs.children].indexOf(over) < [...thumbs.children].indexOf(carried.item) ? "before" : "after";
}

function carryUp(event) {
  if (!carried) return;
  const { photo, over, moved } = carried;
  const onCanvas = moved && event.type === "pointerup" && document.elementsFromPoint(event.clientX, event.clientY).includes(stage);
  const to = over && event.type === "pointerup" ? [...thumbs.children].indexOf(over) : -1;
  carried = null;
  if (moved) shownThumbs = "";
  if (to >= 0) moveReference(photo, to);
  showReferences();
  if (onCanvas) makeTarget(photo);
}

// A reference becomes the target, and the target, where there is one, takes its place.
async function makeTarget(photo) {
  if (!photo.path) return;
  const answer = await trying(ask("take_target", { path: photo.path }));
  const old = state.target?.path ? await trying(ask("take_reference", { path: state.target.path })) : null;
  if (answer.error ?? old?.error) return say(answer.error ?? old.error, "bad");
  const target = { key: ++photoKeys, name: answer.name, path: answer.path, width: answer.width, height: answer.height, waiting: false };
  await showPicture(target, urlOf(answer.picture));
  const at = state.references.indexOf(photo), references = state.references.filter((other) => other !== photo);
  if (at < 0) return;
  if (old) references.splice(at, 0, referenceOf(old));
  commit({ references, target, strokes: answer.strokes, extend: [0, 0, 0, 0], mask: null, name: "" });
  say(translate("{name} is the target now. Ctrl+Z takes that back.", photo));
}

// The target becomes the last of the references, and the place of the target is free.
async function makeReference() {
  const { target, references } = state;
  if (!target?.path) return;
  if (references.length >= MOST_REFERENCES) return say(translate("There are {most} references already; remove one first.", { most: MOST_REFERENCES }));
  const answer = await trying(ask("take_reference", { path: target.path }));
  if (answer.error) return say(answer.error, "bad");
  if (state.target !== target) return;
  commit({ references: [...state.references, referenceOf(answer)], target: null, strokes: null, extend: [0, 0, 0, 0], mask: null });
  say(translate("{name} is a reference now. Ctrl+Z takes that back.", target));
}

function referenceOf({ path, name, thumb }) {
  return { key: ++photoKeys, path, name, thumb: urlOf(thumb), waiting: false };
}

function addTile() {
  const item = document.createElement("li"), button = document.createElement("button");
  item.className = "add";
  button.type = "button";
  button.innerHTML = element.querySelector("[data-do=zoom-in]").innerHTML;
  button.append(touch || state.references.length ? translate("Add") : translate("Drop, paste or add"));
  button.setAttribute("aria-label", translate("Add references"));
  button.addEventListener("click", () => pick("references"));
  item.append(button);
  return item;
}

// ── the quiet look at how much the photos share ──

function shareOfPhoto(photo) {
  return photo.path && state.target?.path ? shares.get(photo.path + "|" + state.target.path) : undefined;
}

async function lookOverlap() {
  if (looking) return;
  looking = true;
  try {
    for (;;) {
      const target = state.target?.path;
      const next = target && state.references.find((photo) => photo.path && !shares.has(photo.path + "|" + target));
      if (!next) break;
      shares.set(next.path + "|" + target, null);
      shares.set(next.path + "|" + target, await ask("look_overlap", { reference: next.path, target }));
      showReferences();
    }
  } catch { /* a hint only; the scene is good without it */ }
  looking = false;
}
