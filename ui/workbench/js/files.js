// Files: from pickers, drops and the clipboard, to the server and back.

const LARGEST = 256 * 2 ** 20; // bytes; ui.server.MAX_FILE
const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";
const isPhoto = (file) => ENDINGS.pictures.includes(endingOf(file.name)) || ENDINGS.raws.includes(endingOf(file.name)) || file.type.startsWith("image/");
const isSidecar = (file) => /^(\.|Icon\r?$)/.test(file.name) || ENDINGS.sidecars.includes(endingOf(file.name));

// Uploads a file and asks the server about it; every failure is an answer with a sentence.
async function bring(file, question) {
  if (file.size > LARGEST) return { error: translate("{name} is larger than 256 MB; save it smaller first.", file) };
  try {
    const here = await upload(file);
    return await question(here.path);
  } catch {
    return { error: translate("{name} could not be uploaded; check that the server is running and try again.", { name: file.name || translate("The photo") }) };
  }
}

function photosOf(files) {
  const named = pictureNames(files.map((file) => file.name));
  const photos = files.filter((file) => isPhoto(file) && (named.has(file.name) || !ENDINGS.raws.includes(endingOf(file.name))));
  const others = files.filter((file) => !isPhoto(file) && !(photos.length && isSidecar(file)));
  if (others.length) say(translate("{name} is not a photo that can be used; JPEG, PNG, WebP, TIFF, HEIC and BMP are.", others[0]), "bad");
  return photos;
}

function takeReferences(files) {
  if (files.length === 1 && isZip(files[0])) return openZip(files[0]);
  addReferences(photosOf(files));
}

function takeTarget(files) {
  if (files.length === 1 && isZip(files[0])) return openZip(files[0]);
  const photos = photosOf(files);
  if (photos.length > 1) return askWhich(photos);
  if (photos.length) setTarget(photos[0]);
}

// Of several photos that were dropped on the canvas one is the target, and the others are references.
function askWhich(photos) {
  const dialog = part("which");
  const choose = (target) => {
    dialog.close();
    if (target) setTarget(target);
    const others = photos.filter((photo) => photo !== target);
    if (others.length) addReferences(others);
  };
  part("which-list").replaceChildren(...photos.map((photo) => {
    const item = document.createElement("li"), button = document.createElement("button"), image = document.createElement("img"), name = document.createElement("b");
    button.type = "button";
    image.src = URL.createObjectURL(photo);
    image.alt = "";
    name.textContent = photo.name;
    button.append(image, name);
    button.addEventListener("click", () => choose(photo));
    item.append(button);
    return item;
  }));
  dialog.querySelector("[data-do=which-none]").onclick = () => choose(null);
  dialog.onclose = () => part("which-list").querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
  dialog.showModal();
}

async function takeMask(files) {
  const [file] = photosOf(files), { target } = state;
  if (!file || !target) return;
  const answer = await bring(file, (path) => ask("take_mask", { path, scene: wire() }));
  if (answer.error) return say(answer.error, "bad");
  if (state.target !== target) return;
  commit({ strokes: answer.strokes, mask: answer.mask, variants: false });
  if (answer.notices.length) say(answer.notices.join(" "));
}

async function openZip(file) {
  say(translate("Opening {name}…", file));
  openScene(await bring(file, (path) => ask("open_zip", { path })), "open");
}

// Of a folder only what a scene is made of is sent.
async function openFolder(listed) {
  const parts = listed.filter(({ name }) => /(^|\/)(ref|target)\/[^/.][^/]*$/i.test(name));
  const { pictures, others } = sortOut(parts);
  if (!pictures.length) return say(translate("There is no scene in there; a scene is a folder with ref and target in it."), "bad");
  if (pictures.length > 12) return say(translate("There is more than one scene in there; open one of its folders."), "bad");
  say(translate("Opening the scene…"));
  const sent = [];
  for (const { name, file } of pictures) {
    const answer = await bring(file, (path) => ({ name, path }));
    if (answer.error) return say(answer.error, "bad");
    sent.push(answer);
  }
  openScene(await trying(ask("open_files", { files: sent, others })), "open");
}

async function openExample(name) {
  part("gallery").close();
  say(translate("Opening the example…"));
  openScene(await trying(ask("open_example", { name })), "open");
}

async function trying(question) {
  try {
    return await question;
  } catch {
    return { error: translate("The server did not answer; check that it is running and try again.") };
  }
}

// Shows a scene that the server describes; one step of the history. `how`: "open" for who asked for it, "recall" for
// what this tab had before a reload, "offer" for the scene of the project that the page opened by itself.
async function openScene(answer, how) {
  if (answer.error) return say(answer.error, "bad");
  const references = answer.references.map((photo) => ({ ...photo, key: ++photoKeys, thumb: urlOf(photo.thumb), waiting: false }));
  let target = null;
  if (answer.target) {
    target = { ...answer.target, key: ++photoKeys, waiting: false };
    try {
      await showPicture(target, urlOf(answer.target.picture));
      if (target.small.width / target.small.height / (target.width / target.height) > 1.02 ||
          target.small.width / target.small.height / (target.width / target.height) < 0.98) throw new Error("turned");
    } catch {
      const plain = await trying(ask("take_target", { path: target.path, preview: true }));
      if (plain.error) return say(plain.error, "bad");
      await showPicture(target, urlOf(plain.picture));
    }
  }
  const scene = { references, target, strokes: answer.strokes, extend: answer.extend, mask: answer.mask, variants: answer.variants, name: answer.name ?? "" };
  const had = state.references.length || state.target;
  if (how === "recall" && (state !== EMPTY || arriving)) return; // something was dropped while it was on its way
  if (how === "offer" && (state !== afterRecall || arriving)) return;
  latest = 0; // a target that is still on its way comes too late
  arriving = null;
  if (had) commit(scene); else apply(scene);
  const notices = answer.notices ?? [];
  if (notices.length) say(notices.join(" "));
  else if (!references.length && !target) { if (had) say(translate("Emptied. Ctrl+Z brings your scene back.")); }
  else if (had && how !== "recall") say(translate("Opened. Ctrl+Z brings your earlier scene back."));
  else if (how === "open") say(translate("Opened."));
}

async function saveMask() {
  const answer = await trying(ask("give_mask", { scene: wire() }));
  if (answer.error) say(answer.error, "bad"); else download(answer);
}

async function saveScene() {
  say(translate("Packing the scene…"));
  const answer = await trying(ask("give_scene", { scene: wire() }));
  if (answer.error) return say(answer.error, "bad");
  hush();
  download(answer);
}

function download({ file, name }) {
  const link = document.createElement("a");
  link.href = urlOf(file);
  link.download = name;
  link.click();
}

function pick(name) {
  element.querySelector("[data-pick=" + name + "]").click();
}

const PICKED = {
  references: takeReferences, target: takeTarget, mask: takeMask,
  zip: (files) => openZip(files[0]),
  folder: (files) => openFolder(files.map((file) => ({ name: file.webkitRelativePath, file }))),
};

function picked(event) {
  const files = [...event.target.files];
  event.target.value = "";
  if (files.length) PICKED[event.target.dataset.pick](files);
}

// ── drops and the clipboard ──

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

// Nothing that is dropped anywhere may make the browser leave the page.
function overPage(event) {
  event.preventDefault();
  if (!hasFiles(event) || !root.offsetParent) return;
  const where = dropPlace(event);
  event.dataTransfer.dropEffect = where ? "copy" : "none";
  showDropping(where);
}

// What a drop at this place is: "references", "target", "mask" or nothing.
function dropPlace(event) {
  if (!root.contains(event.target)) return null;
  if (!stage.contains(event.target)) return "references";
  if (!state.target) return "target";
  const box = stage.getBoundingClientRect();
  return event.clientX - box.left < box.width / 2 ? "target" : "mask";
}

function showDropping(where) {
  root.dataset.drop = where ?? "";
  part("dropping").hidden = where !== "target" && where !== "mask";
  part("dropping").dataset.halves = state.target ? "yes" : "no";
  for (const half of part("dropping").children) half.dataset.here = half.dataset.drop === where ? "yes" : "no";
}

async function dropped(event) {
  event.preventDefault();
  const where = dropPlace(event);
  showDropping(null);
  if (!hasFiles(event) || !where || !root.offsetParent) return;
  const entries = entriesOf(event);
  const files = [...event.dataTransfer.files];
  if (entries.some((entry) => entry.isDirectory)) return openFolder(await filesIn(entries, 500));
  if (files.length) PICKED[where](files);
}

function pasted(event) {
  if (!root.offsetParent || isText(event.target)) return;
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  const onCanvas = stage.contains(document.activeElement) || stage.matches(":hover");
  if (!state.target && onCanvas) takeTarget(files); else takeReferences(files);
}
