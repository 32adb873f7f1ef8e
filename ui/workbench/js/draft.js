// The instant draft: the hole filled by geometry and patches, shown in its place, the best proposal first. While it is on, it follows every change.

const QUIET = 600; // milliseconds without a change before a draft is asked for
const BETWEEN = 350; // milliseconds between two looks at how far it is
const tabName = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16)).join("");
const draftSwitch = element.querySelector("[data-do=draft]"), trust = part("trust"), keepDraft = element.querySelector("[data-do=save-draft]");
let draftOn = false;
let drafted = null; // what is there to see: {of, proposals, at, picture, overlay, over}; `at` 0 is the best
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
  return draftOn && !job && !liveExtend && draftHolds() && drafted.picture !== null;
}

function draftLacks() {
  if (!state.target) return translate("There is no target yet; add the photo first.");
  if (!state.references.length) return translate("There is no reference yet; a draft is made of photos of the same place.");
  if (state.variants) return translate("A draft needs known pixels around what is missing; choose “What I mark” for one.");
  if (!shareIn(state.strokes) && !state.extend.some(Boolean)) return translate("Nothing is marked yet; paint over what is missing, then draft it.");
  return "";
}

function toggleDraft() {
  if (draftOn) return endDraft();
  const lacks = draftLacks();
  if (lacks) return say(lacks);
  draftOn = true;
  hush();
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
  if (draftHolds() && (draftAsked || drafted.over)) return tellProposal();
  giveUpDraft();
  if (!draftHolds()) drafted = null;
  draw();
  const lacks = draftLacks();
  if (lacks) return tellDraft(lacks, "waits");
  const count = state.references.length;
  tellDraft(count === 1 ? translate("Drafting from one reference…") : translate("Drafting from {count} references…", { count }), "busy");
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
      if (answer.before) tellDraft(answer.before === 1 ? translate("Waiting; another draft comes first.") : translate("Waiting; {count} other drafts come first.", { count: answer.before }), "busy");
      if (answer.state === "shown") await takeDraft(answer, of, late);
      if (late()) return;
      if (answer.over) { drafted.over = true; draftAsked = null; return; }
      await new Promise((done) => setTimeout(done, BETWEEN));
    }
  } catch {
    if (late()) return;
    draftAsked = null;
    tellDraft(translate("The server did not answer; check that it is running and try again."), "bad");
  }
}

async function takeDraft(answer, of, late) {
  const { others, coming, ...best } = answer, proposals = [best, ...others];
  // A better one takes the place of what is shown, unless a person has chosen that.
  const at = Math.max(0, proposals.findIndex((one) => one.picture === drafted?.chosen));
  const changed = !drafted || drafted.proposals[drafted.at].picture !== proposals[at].picture;
  drafted = { picture: null, overlay: null, chosen: null, ...drafted, of, proposals, at, coming, over: false };
  if (changed) await showProposal(at, late);
  if (late()) return;
  tellProposal();
}

async function showProposal(at, late = () => false) {
  const held = drafted, one = held.proposals[at];
  const [picture, overlay] = await Promise.all([one.picture, one.overlay].map(decoded));
  if (late() || drafted === null || drafted.of !== held.of) return;
  Object.assign(drafted, { at, picture, overlay });
  draw();
}

async function chooseProposal(at) {
  drafted.chosen = drafted.proposals[at].picture;
  await showProposal(at);
  if (draftHolds()) tellProposal();
}

function listProposals() {
  const list = part("proposals"), { proposals, at } = drafted;
  list.hidden = proposals.length < 2;
  if (list.dataset.of === proposals.map((one) => one.picture).join() + at) return; // what is focused stays
  list.dataset.of = proposals.map((one) => one.picture).join() + at;
  list.replaceChildren(...proposals.map((one, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = place + 1;
    button.title = (place ? translate("Proposal {number}", { number: place + 1 }) : translate("The best proposal")) + ": " + one.sentence;
    button.setAttribute("aria-pressed", String(place === at));
    button.addEventListener("click", () => chooseProposal(place));
    return button;
  }));
}

function tellProposal() {
  const one = drafted.proposals[drafted.at];
  const kind = one.held_back ? "held" : one.vouched < 0.995 ? "partly" : "whole";
  tellDraft(one.sentence + (drafted.coming ? " " + translate("More proposals come…") : ""), kind);
  listProposals();
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
  part("draft").style.setProperty("--shown", Math.round(100 * (drafted?.proposals[drafted.at]?.vouched ?? 0)) + "%");
  keepDraft.disabled = !draftHolds() || !drafted.proposals[drafted.at].whole;
  if (!draftHolds()) part("proposals").hidden = true;
  trust.disabled = !draftHolds();
}

function showDraft() {
  part("draft").hidden = !draftOn;
  if (draftOn) part("draft").scrollIntoView({ block: "nearest" }); // below the fold of a phone
  draftSwitch.setAttribute("aria-pressed", String(draftOn));
}

function toggleTrust() {
  if (!draftOn || trust.disabled) return;
  trust.checked = !trust.checked;
  draw();
}

function saveDraft() {
  const { whole } = drafted.proposals[drafted.at];
  download({ file: whole, name: whole.split("/").pop() });
}
