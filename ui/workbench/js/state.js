// The scene: one immutable value, its history, and how it reaches the server.

const MOST_REFERENCES = 5;
const MOST_STEPS = 100; // of the history
const MOST_PIXELS = 50e6; // of an extended photo; realfill.imaging.decode.MEGAPIXELS
const MARK = "rgb(255,45,85)";
const MARK_PIXEL = 0xff552dff; // the same as little-endian ABGR
const DRAFT_KEY = "realfill-scene", PROJECT_KEY = "realfill-project";
const part = (name) => element.querySelector("[data-part=" + name + "]");
const root = part("root");
const touch = matchMedia("(pointer: coarse)").matches; // nothing is dropped here

const EMPTY = { references: [], target: null, strokes: null, extend: [0, 0, 0, 0], mask: null, variants: false, name: "" };
let state = EMPTY;
const undone = [], done = [];
let draft = null, saving = false, unsaved = false, saveTimer = 0;
// The project that the page's address names; as the page was opened, and when this tab's scene was last kept.
const projectNow = () => { const names = new URLSearchParams(location.search); return names.get("project") ?? names.get("run"); };
const projectAsked = projectNow(), projectKept = sessionStorage.getItem(PROJECT_KEY);

// Makes `change` part of the scene, as one step that can be undone.
function commit(change) {
  done.push(state);
  if (done.length > MOST_STEPS) done.shift();
  undone.length = 0;
  apply({ ...state, ...change });
}

function undo() { step(done, undone); }
function redo() { step(undone, done); }

function step(from, to) {
  cancelTool();
  if (!from.length) return;
  to.push(state);
  apply(from.pop());
}

function apply(next) {
  const before = state;
  state = next;
  if (state.target !== before.target) { endDraft(); showTarget(); }
  else if (state.strokes !== before.strokes) showStrokes();
  if (state.extend !== before.extend) showExtend();
  if (state.variants !== before.variants) drawMarks();
  if (["bad", "wanted"].includes(part("message").dataset.kind)) hush(); // what went wrong or lacked before is over
  showAll();
  publish();
}

// What still lacks before anything can be made of the scene: "references", "target", "mask", "upload" or nothing; and
// the sentence for it.
function sceneLacks() {
  const { references, target, strokes, extend, variants } = state, share = shareIn(strokes);
  if (wire().pending) return ["upload", translate("A photo is still on its way.")];
  if (!references.length && !target) return ["references", translate("Add one to five photos of a place, and the photo of it to complete.")];
  if (!references.length) return ["references", translate("Add one to five other photos of the same place.")];
  if (!target) return ["target", translate("Add the photo to complete.")];
  if (variants) return ["", translate("Ready: everything is made new.")];
  if (!share && !extend.some(Boolean)) return ["mask", translate("Mark what is missing.")];
  if (share >= 1) return ["mask", translate("All of the photo is marked. Leave some of it unmarked, or choose “Everything”.")];
  return ["", translate("Ready: the draft takes seconds, training makes a better one.")];
}

// Ticks off what is there, lights what comes next, and tells the page.
function tellSteps() {
  const [lacks, sentence] = sceneLacks(), { references, target } = state;
  const there = { references: references.length > 0, target: Boolean(target), mask: Boolean(references.length && target && !lacks) };
  const next = Object.keys(there).find((name) => !there[name]);
  for (const step of element.querySelectorAll("[data-step]")) {
    const name = step.dataset.step;
    step.dataset.state = there[name] ? "done" : name === next ? "next" : "later";
  }
  root.dataset.lacks = lacks;
  document.dispatchEvent(new CustomEvent("rf-scene", { detail: { lacks, sentence, variants: state.variants } }));
}

// Somebody wanted to start; what is missing is shown to them.
function showWanted({ detail: lacks }) {
  const where = { references: part("references"), target: state.references.length ? stage : part("references"), mask: stage }[lacks];
  if (!where) return;
  say(sceneLacks()[1], "wanted");
  where.dataset.wanted = "yes";
  setTimeout(() => delete where.dataset.wanted, 2400);
  (lacks === "references" ? thumbs.querySelector(".add button") : lacks === "target" ? element.querySelector(".invite .primary") : stage)?.focus({ preventScroll: true });
}

// What the server reads; photos that are still on their way are counted, not named.
function wire() {
  const here = state.references.filter((photo) => photo.path);
  const waiting = state.references.filter((photo) => photo.waiting).length + (arriving || state.target?.waiting ? 1 : 0);
  const { strokes } = state;
  return {
    references: here.map((photo) => photo.path),
    target: state.target?.path ?? null,
    strokes: strokes && { height: strokes.height, width: strokes.width, runs: strokes.runs },
    extend: state.extend,
    mask: state.mask,
    variants: state.variants,
    name: state.name,
    pending: waiting,
  };
}

function publish() {
  props.value = wire();
  unsaved = true;
  root.dataset.saved = "no";
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, 300);
  lookOverlap();
  askContext();
  placeContext();
  wantDraft();
  tellSteps();
}

// Keeps the scene on the server, so that a reload brings it back. A tab has a draft of its own.
async function save() {
  if (saving || !unsaved) return;
  saving = true;
  unsaved = false;
  try {
    const answer = await ask("keep_scene", { draft, scene: wire() });
    if (answer.draft) {
      draft = answer.draft;
      sessionStorage.setItem(DRAFT_KEY, draft);
      rememberProject();
    }
    if (answer.error) say(answer.error, "bad");
  } catch {
    unsaved = true; // the server is away; the next change tries again, and so does the clock
    saveTimer = setTimeout(save, 5000);
  }
  saving = false;
  if (unsaved) { if (draft) save(); } else root.dataset.saved = "yes";
}

function rememberProject() {
  if (draft) sessionStorage.setItem(PROJECT_KEY, projectNow() ?? "");
}

async function recall() {
  const known = sessionStorage.getItem(DRAFT_KEY);
  if (!known) return;
  const answer = await ask("recall_scene", { draft: known });
  if (answer.error || answer.references) await openScene(answer, "recall");
}

// A fresh page opened a project: its scene is shown, unless this tab has one of that project, or one that is begun.
async function offered({ offer }) {
  await recalled;
  const mine = state.references.length || state.target;
  const stays = arriving || state !== afterRecall || (mine && (projectAsked === null || projectAsked === projectKept));
  if (!stays) await openScene(offer, "offer");
  root.dataset.offer = stays ? "left" : "taken";
}

async function opened({ open }) {
  props.value = { ...wire(), pending: 1 }; // Start waits
  await openScene(open, "open");
  root.dataset.opened = Number(root.dataset.opened ?? 0) + 1;
  publish();
}

function ask(question, about) {
  return server[question](about);
}

let hushTimer = 0;

function say(sentence, kind) {
  const box = part("message");
  part("message-text").textContent = sentence;
  box.dataset.kind = kind ?? "plain";
  box.setAttribute("role", kind === "bad" ? "alert" : "status");
  box.hidden = false;
  clearTimeout(hushTimer);
  hushTimer = setTimeout(hush, 5000 + 60 * sentence.length);
}

function hush() {
  part("message").hidden = true;
}
