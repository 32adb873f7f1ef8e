"""Texts against what they stand on, and the three numbered places of the first page."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.ui.browser import canvas
from tests.ui.conftest import Server

LEAST = 4.5  # WCAG 2.2, 1.4.3; large texts need 3
# Every element with a text of its own that is seen, can be used and stands on plain colours, and its contrast.
CONTRASTS = """() => {
  const dot = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
  const pen = dot.getContext('2d', {willReadFrequently: true});
  const read = (colour) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3]));
  const linear = (level) => level <= 10.31 ? level / 3294.6 : ((level / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const style = getComputedStyle(at), colour = read(style.backgroundColor);
      if (style.backgroundImage !== 'none' || Number(style.opacity) < 1) return null;
      layers.push(colour);
      if (colour[3] === 1) return layers.reverse().reduce((below, top) => over(top, below), [0, 0, 0]);
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].filter((one) => one.nodeType === 3).map((one) => one.nodeValue.trim()).join('');
    if (!text || node.matches('script, style, option')) continue;
    if (node.closest('[disabled], [aria-disabled=true], .visually-hidden')) continue;
    if (!node.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const ground = behind(node);
    if (!ground || node.getBoundingClientRect().width < 2) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const two = [light(over(read(style.color), ground)), light(ground)].sort((one, other) => other - one);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const contrast = (two[0] + 0.05) / (two[1] + 0.05) * (large ? 1.5 : 1);
    found.push({text: text.slice(0, 40), class: node.className, contrast});
  }
  return found;
}"""


def faint(page: Page) -> list[dict[str, Any]]:
    """The texts that stand out too little."""
    seen = page.evaluate(CONTRASTS)
    assert len(seen) > 20
    return [one for one in seen if one["contrast"] < LEAST]


def test_texts_stand_out_in_light_and_dark(page: Page, server: Server) -> None:
    canvas.begin(page, server.url)
    for tab in ("1 Scene", "2 Train"):
        page.get_by_role("tab", name=tab).click()
        assert in_both_themes(page) == []
    page.locator(".rf-rail-examples [data-do=open]").first.click()
    expect(page.locator(".rf-after")).to_be_visible()
    assert in_both_themes(page) == []


def in_both_themes(page: Page) -> list[dict[str, Any]]:
    """The faint texts, light and dark."""
    found = []
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_function("() => !document.getAnimations().some((one) => one.playState === 'running')")
        found += [{**one, "dark": dark} for one in faint(page)]
    page.evaluate("document.body.classList.remove('dark')")
    return found


def test_the_numbered_places_tick_themselves_and_the_next_is_lit(page: Page, server: Server, toy_scene: Path) -> None:
    canvas.begin(page, server.url)
    references, target = sorted((toy_scene / "ref").iterdir())[:1], toy_scene / "target" / "target.png"
    assert places(page) == {"references": "next", "target": "later", "mask": "later"}
    canvas.bring(page, references, None)
    assert places(page) == {"references": "done", "target": "next", "mask": "later"}
    canvas.bring(page, [], target)
    assert places(page) == {"references": "done", "target": "done", "mask": "next"}
    canvas.paint(page, (20, 20, 60, 50))
    page.wait_for_function("() => document.querySelector('#workbench .wb').dataset.lacks === ''")
    assert places(page) == {"references": "done", "target": "done", "mask": "done"}


def places(page: Page) -> dict[str, str]:
    """What the numbers of the three places say."""
    steps = page.locator("#workbench [data-step]")
    return dict(steps.evaluate_all("all => all.map((one) => [one.dataset.step, one.dataset.state])"))
