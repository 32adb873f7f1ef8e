// The instant draft: the hole filled by geometry alone, shown in its place. While it is on, it follows every change.

const QUIET = 600; // milliseconds without a change before a draft is asked for
const BETWEEN = 350; // milliseconds between two looks at how far it is
const tabName = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16)).join("");
const draftSwitch = element.querySelector("[data-do=draft]"), trust = part("trust"), keepDraft = element.querySelector("[data-do=save-draft]");
let draftOn = false;
let drafted = null; // what is there to see: {of, picture, overlay, whole, sentence, kind}
let draftTurn = 0, draftTimer = 0, draftAsked = null;

// All that a draft is made of.
function draftScene() {
  const { references, target, strokes, extend, mask, variants } = state;
  return [references.map((photo) => photo.path).join("|"), target?.path, strokes, extend.join(), mask, variants];
}

function draftHolds() {
  return drafted !== null && draftScene().every((one, at) => one === drafted.of[at]);
}

// Whether the draft is what the canvas shows; while something is drawn, the marks are.
function draftShown() {
  return draftOn && !job && !liveExtend && draftHolds();
}

function draftLacks() {
  if (!state.target) return "There is no target yet; add the photo first.";
  if (!state.references.length) return "There is no reference yet; a draft is made of photos of the same place.";
  if (state.variants) return "A draft needs known pixels around what is missing. Choose “What I mark” on the left for one.";
  if (!shareIn(state.strokes) && !state.extend.some(Boolean)) return "Nothing is marked yet; paint over what is missing, then draft it.";
  return "";
}

function toggleDraft() {
  if (draftOn) return endDraft();
  const lacks = draftLacks();
  if (lacks) return say(lacks);
  draftOn = true;
  showDraft();
  wantDraft(0);
}

function endDraft() {
  if (!draftOn) return;
  draftOn = false;
  giveUpDraft();
  showDraft();
  draw();
}

// A draft that is on its way is of no use any more.
function giveUpDraft() {
  draftTurn++;
  clearTimeout(draftTimer);
  if (draftAsked) ask("drop_draft", { draft: draftAsked }).catch(() => null);
  draftAsked = null;
}

function wantDraft(quiet = QUIET) {
  if (!draftOn) return;
  if (draftHolds() && (draftAsked || drafted.over)) return tellDraft(drafted.sentence, drafted.kind);
  giveUpDraft();
  if (!draftHolds()) drafted = null;
  draw();
  const lacks = draftLacks();
  if (lacks) return tellDraft(lacks, "waits");
  const count = state.references.length;
  tellDraft("Drafting from " + (count === 1 ? "one reference…" : count + " references…"), "busy");
  if (!wire().pending) draftTimer = setTimeout(makeDraft, quiet); // else the photo's arrival calls again
}

async function makeDraft() {
  const turn = draftTurn, of = draftScene();
  const late = () => turn !== draftTurn;
  try {
    const { draft: token, error } = await ask("begin_draft", { scene: wire(), tab: tabName });
    if (late()) return token && ask("drop_draft", { draft: token });
    if (error) return tellDraft(error, "bad");
    draftAsked = token;
    for (;;) {
      const answer = await ask("look_draft", { draft: token });
      if (late()) return;
      if (answer.error) { draftAsked = null; return tellDraft(answer.error, "bad"); }
      if (answer.before) tellDraft("Waiting; " + (answer.before === 1 ? "another draft comes" : answer.before + " other drafts come") + " first.", "busy");
      if (answer.state === "shown") await takeDraft(answer, of, late);
      if (late()) return;
      if (answer.whole || answer.over) { drafted.over = true; draftAsked = null; return; }
      await new Promise((done) => setTimeout(done, BETWEEN));
    }
  } catch {
    if (late()) return;
    draftAsked = null;
    tellDraft("The server did not answer; check that it is running and try again.", "bad");
  }
}

async function takeDraft(answer, of, late) {
  if (!drafted) {
    const [picture, overlay] = await Promise.all([answer.picture, answer.overlay].map(decoded));
    if (late()) return;
    const kind = answer.held_back ? "held" : answer.vouched < 0.995 ? "partly" : "whole";
    drafted = { of, picture, overlay, whole: null, over: false, sentence: answer.sentence, kind };
    draw();
  }
  drafted.whole = answer.whole;
  tellDraft(drafted.sentence, drafted.kind);
}

async function decoded(path) {
  const image = new Image();
  image.src = urlOf(path);
  await image.decode();
  return image;
}

function drawDraft() {
  const { left, top, width, height } = frameNow();
  photoLayer.drawImage(drafted.picture, left, top, width, height);
  if (trust.checked) photoLayer.drawImage(drafted.overlay, left, top, width, height);
}

function tellDraft(sentence, kind) {
  part("draft-says").textContent = sentence;
  part("draft").dataset.kind = kind;
  keepDraft.disabled = !draftHolds() || !drafted.whole;
  trust.disabled = !draftHolds();
}

function showDraft() {
  part("draft").hidden = !draftOn;
  draftSwitch.setAttribute("aria-pressed", String(draftOn));
}

function toggleTrust() {
  if (!draftOn || trust.disabled) return;
  trust.checked = !trust.checked;
  draw();
}

function saveDraft() {
  download({ file: drafted.whole, name: drafted.whole.split("/").pop() });
}
