// The page's texts in the visitor's language, `window.realfillWords`: for our scripts `translate` and `decimal`; what gradio
// builds from its configuration is translated here, before it begins.
(() => {
  const {tag, decimal, sentences} = window.realfillWords;
  const ATTRIBUTES = ['title', 'aria-label', 'alt', 'placeholder'];
  const squeeze = (text) => text.replace(/\s+/g, ' ').trim();

  // An English sentence, with its {named} places filled, in the visitor's language.
  window.translate = (sentence, places = {}) =>
    (sentences[sentence] ?? sentence).replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole);

  window.decimal = (number, digits) => number.toFixed(digits).replace('.', decimal);

  function translateMarkup(html) {
    const page = document.createElement('template');
    page.innerHTML = html;
    const texts = document.createTreeWalker(page.content, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const node = texts.currentNode, text = squeeze(node.data);
      if (sentences[text]) node.data = node.data.replace(node.data.trim(), () => sentences[text]);
    }
    for (const node of page.content.querySelectorAll('*'))
      for (const name of ATTRIBUTES) if (sentences[node.getAttribute(name)]) node.setAttribute(name, sentences[node.getAttribute(name)]);
    return page.innerHTML;
  }

  const translateText = (text) => sentences[text] ?? (text.startsWith('<') ? translateMarkup(text) : text);

  function translateProps({type, props}) {
    const texts = ['label', 'info', 'placeholder', ...(type === 'button' || type === 'html' ? ['value'] : [])]; // elsewhere a value is data
    for (const name of texts) if (typeof props[name] === 'string') props[name] = translateText(props[name]);
    if (props.html_template) props.html_template = translateMarkup(props.html_template);
    if (Array.isArray(props.choices)) props.choices = props.choices.map(([shown, value]) => [translateText(shown), value]);
    for (const tab of props.initial_tabs ?? []) tab.label = translateText(tab.label);
  }

  const root = document.documentElement;
  const nameLanguage = () => { if (root.lang !== tag) root.lang = tag; };
  nameLanguage();
  new MutationObserver(nameLanguage).observe(root, {attributes: true, attributeFilter: ['lang']}); // gradio names the browser's own
  if (tag !== 'en') window.gradio_config?.components?.forEach(translateProps);
})();
