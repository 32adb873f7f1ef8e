// Everything is connected here, once.

const ACTIONS = {
  "undo": undo, "redo": redo, "invert": invert, "clear": clearMarks, "grow": () => growMarks(false), "shrink": () => growMarks(true), "fit-marks": fitMarks, "soft-edge": toggleSoftEdge, "context": toggleContext, "fit": fit, "hush": hush,
  "zoom-in": () => zoom(1.25, view.width / 2, view.height / 2),
  "zoom-out": () => zoom(0.8, view.width / 2, view.height / 2),
  "zoom-one": () => zoom(1 / view.scale / view.dots, view.width / 2, view.height / 2),
  "draft": toggleDraft, "save-draft": saveDraft,
  "load-mask": () => pick("mask"), "save-mask": saveMask, "save-scene": saveScene,
  "choose-target": () => pick("target"), "open-zip": () => pick("zip"), "open-folder": () => pick("folder"),
  "make-reference": makeReference,
  "extend-none": () => setExtend([0, 0, 0, 0]),
  "help": () => part("help").showModal(), "examples": () => part("gallery").showModal(),
  "close": (button) => button.closest("dialog").close(),
};

// Listeners outside of our element; they go when it goes.
function listen(where, kind, handler, options) {
  const handling = (event) => {
    if (element.isConnected) handler(event); else where.removeEventListener(kind, handling, options);
  };
  where.addEventListener(kind, handling, options);
}

function connect() {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || button.disabled) return;
    if (button.dataset.tool) choose(button.dataset.tool);
    if (button.dataset.do) ACTIONS[button.dataset.do]?.(button);
    if (button.dataset.example) openExample(button.dataset.example);
    if (button.dataset.ratio) takeRatio(button.dataset.ratio);
  });
  for (const input of element.querySelectorAll("[data-pick]")) input.addEventListener("change", picked);
  if (touch) {
    for (const name of ["references", "target"]) // phones offer their camera only where pictures are asked for
      element.querySelector("[data-pick=" + name + "]").accept = "image/*";
    element.querySelector(".invite h2").textContent = translate("The photo to complete");
  }
  for (const input of sideInputs) input.addEventListener("change", takeSides);
  unit.addEventListener("change", showExtend);
  part("size").addEventListener("input", (event) => { if (state.target) setSize(sizeOf(Number(event.target.value))); });
  for (const radio of element.querySelectorAll("[name=wb-fill]"))
    radio.addEventListener("change", () => commit({ variants: radio.value === "variants" && radio.checked }));
  trust.addEventListener("change", draw);
  for (const handle of handles) connectGrip(handle, handleDown, handleMove, handleUp, handleKey);
  for (const corner of contextCorners) connectGrip(corner, cornerDown, cornerMove, cornerUp, cornerKey);
  connectStage();
  listen(document, "keydown", keyDown);
  listen(document, "keyup", keyUp);
  listen(document, "rf-wanted", showWanted);
  listen(document, "paste", pasted);
  listen(window, "dragover", overPage);
  listen(window, "drop", dropped);
  listen(window, "dragleave", (event) => { if (!event.relatedTarget) showDropping(null); });
  listen(window, "resize", fill);
  listen(window, "blur", () => { spaceDown = false; delete stage.dataset.space; });
  listen(window, "pagehide", () => { save(); rememberProject(); });
  listen(window, "pointermove", carryMove);
  listen(window, "pointerup", carryUp);
  listen(window, "pointercancel", carryUp);
}

// What is dragged by a pointer; where it is given, `key` moves it without one.
function connectGrip(grip, down, move, up, key) {
  grip.addEventListener("pointerdown", down);
  grip.addEventListener("pointermove", move);
  grip.addEventListener("pointerup", up);
  grip.addEventListener("pointercancel", up);
  if (key) grip.addEventListener("keydown", key);
}

function connectStage() {
  connectGrip(stage, pointerDown, pointerMove, pointerUp);
  stage.addEventListener("pointerenter", () => { hovering = true; moveRing(); });
  stage.addEventListener("pointerleave", () => { hovering = false; part("pointer").textContent = ""; moveRing(); });
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("contextmenu", (event) => { if (state.target) event.preventDefault(); });
  new ResizeObserver(resize).observe(stage);
  new ResizeObserver(fill).observe(document.body);
  new IntersectionObserver(fill).observe(root); // a tab that is shown again
}

// The cards stand in the markup; their pictures come when the server has made them.
async function showExamples() {
  const none = !part("example-list").children.length;
  element.querySelector("[data-do=examples]").hidden = part("examples").hidden = none;
  if (none) return;
  const { examples } = await ask("list_examples", {});
  for (const { name, thumb } of examples ?? [])
    for (const image of element.querySelectorAll("[data-example=" + CSS.escape(name) + "] img")) image.src = urlOf(thumb);
}

connect();
choose("brush");
showAll();
showExtend();
fill();
let afterRecall = state; // the scene as it was before anybody touched it
const recalled = recall().catch(() => say(translate("Your scene could not be brought back; the server did not answer."), "bad"))
  .finally(() => { afterRecall = state; root.dataset.ready = "yes"; });
watch("value", () => { if (props.value?.open) opened(props.value); });
listen(window, "realfill-fit", (event) => takeFit(event.detail));
listen(window, "realfill-offer", (event) => offered(event.detail));
showExamples().catch(() => null);
