// The page around its components: keys, the browser's address and history, its title, and the one button below.
(() => {
  // A photo dropped beside an upload field would make the browser leave the page.
  for (const kind of ['dragover', 'drop']) window.addEventListener(kind, (event) => event.preventDefault());

  const TABS = ['scene', 'train', 'browse'];
  const tabButtons = () => [...document.querySelectorAll('#tabs > .tab-wrapper .tab-container:not(.visually-hidden) button[role=tab]')];
  const tabNow = () => TABS[tabButtons().findIndex((tab) => tab.ariaSelected === 'true')] ?? 'scene';
  const showTab = (name) => tabButtons()[TABS.indexOf(name)]?.click();
  const is = (id) => (node) => node?.closest?.(id);

  // 1 2 3 go to the tabs, Ctrl+Enter starts or resumes; not while somebody writes.
  document.addEventListener('keydown', (event) => {
    const from = event.target instanceof Element ? event.target : document.body;
    const pressed = from.matches('[type=range], [type=checkbox], [type=radio]');
    const writes = !pressed && from.closest('input, textarea, select, [contenteditable=true]');
    if (event.defaultPrevented || event.altKey || writes) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (plain && ['1', '2', '3'].includes(event.key)) chooseTab(TABS[Number(event.key) - 1]);
    else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      document.querySelector('#resume, #start')?.click();
      event.preventDefault();
    }
  });

  // ── what the scene lacks: said below, and the button that starts waits for it ──

  let scene = {lacks: '', sentence: ''};
  const startsRun = is('#start, #try-draft');

  function tellScene() {
    const line = document.querySelector('.rf-status[data-idle] .rf-line');
    if (line && scene.sentence && line.textContent !== scene.sentence) line.textContent = scene.sentence;
    const draft = document.querySelector('#try-draft');
    if (draft) draft.style.display = scene.variants ? 'none' : ''; // where everything is new there is nothing to draft from
    for (const button of document.querySelectorAll('#start, #try-draft')) {
      const waits = String(Boolean(scene.lacks));
      if (button.getAttribute('aria-disabled') === waits) continue;
      button.setAttribute('aria-disabled', waits);
      button.title = scene.lacks ? scene.sentence : '';
    }
  }

  document.addEventListener('rf-scene', (event) => { scene = event.detail; document.body.dataset.lacks = scene.lacks; tellScene(); });
  document.addEventListener('click', (event) => {
    if (!scene.lacks || !startsRun(event.target)) return;
    event.stopPropagation();
    event.preventDefault();
    showTab('scene');
    document.dispatchEvent(new CustomEvent('rf-wanted', {detail: scene.lacks}));
  }, true);

  // ── the title of the browser's tab ──

  let finished = ''; // what ended while nobody looked

  document.addEventListener('rf-finished', (event) => { if (document.hidden) finished = event.detail; tellTitle(); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) finished = ''; tellTitle(); });

  function tellTitle() {
    const said = finished || document.querySelector('#status .rf-status')?.dataset.title;
    document.title = said ? said + ' – RealFill Studio' : 'RealFill Studio';
  }

  // ── the address names project and tab; Back and Forward walk them ──

  const TOGETHER = 80; // milliseconds within which project and tab change as one step
  const shownProject = () => document.querySelector('#run-id :is(textarea, input)')?.value ?? '';
  let begun = false; // what a fresh page shows first is no step of its own
  let early = ''; // the tab that a person chose before that
  let tellBegun; // whenBegun: the page shows the project that it begins with, or none; a server that does not answer is not waited for
  const whenBegun = new Promise((tell) => { tellBegun = tell; setTimeout(tell, 10_000); });
  let walkTo = null; // {tab, project} that Back or Forward lead to, while they are followed
  let noting = 0;

  function note() {
    clearTimeout(noting);
    noting = setTimeout(() => {
      if (walkTo && walkTo.project !== shownProject()) return; // the answer to an earlier step; this one's comes
      const wanted = walkTo?.tab ?? early;
      if (wanted && tabNow() !== wanted) showTab(wanted);
      const url = new URL(window.location), project = shownProject(), tab = wanted || tabNow();
      url.searchParams.delete('run');
      if (project) url.searchParams.set('project', project); else url.searchParams.delete('project');
      url.searchParams.set('tab', tab);
      if (url.href !== window.location.href) history[begun && !walkTo ? 'pushState' : 'replaceState'](null, '', url);
      [begun, early, walkTo] = [true, '', null];
      tellBegun();
    }, TOGETHER);
  }

  window.addEventListener('popstate', () => {
    const asked = new URL(window.location).searchParams, project = asked.get('project') ?? '';
    walkTo = {tab: asked.get('tab') ?? 'scene', project};
    if (project === shownProject()) note();
    else document.dispatchEvent(new CustomEvent('rf-open', {detail: project}));
  });

  function chooseTab(name) {
    if (!begun) early = name;
    showTab(name);
  }

  document.addEventListener('click', (event) => {
    const at = tabButtons().indexOf(event.target.closest?.('button[role=tab]'));
    if (!begun && event.isTrusted && at >= 0) early = TABS[at];
  }, true);

  // What a person does meanwhile is a step of its own, also where the project cannot be opened.
  for (const kind of ['pointerdown', 'keydown']) document.addEventListener(kind, () => { walkTo = null; }, true);

  window.realfill = {
    tab: tabNow,
    whenBegun,
    address: note, // the project that the page shows has changed
    // What a fresh page asks for: the tab of its address, and whether this browser tab has a scene of its own, begun and not started.
    asked() {
      const own = sessionStorage.getItem('realfill-scene') !== null && !sessionStorage.getItem('realfill-project');
      return {tab: new URL(window.location).searchParams.get('tab') ?? (own ? 'scene' : '')};
    },
  };

  function watch() {
    const bar = document.querySelector('#bar'), tabs = document.querySelector('#tabs');
    if (!bar || !tabs) return setTimeout(watch, 50);
    new MutationObserver(() => { tellScene(); tellTitle(); }).observe(bar, {childList: true, subtree: true});
    new MutationObserver(() => { if (begun && !walkTo) note(); })
      .observe(tabs.querySelector('.tab-wrapper'), {attributes: true, subtree: true, attributeFilter: ['aria-selected']});
    tellScene();
    tellTitle();
  }
  document.addEventListener('DOMContentLoaded', watch);
  if (document.readyState !== 'loading') watch();
})();
