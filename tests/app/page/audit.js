// What a test asks of a whole page. Each function answers with a list of what is wrong; it is sent to the page as it stands.
({
  // Elements with words in them that are wider than their place, and what reaches beyond the window. An ellipsis is meant.
  overhanging() {
    const bad = [];
    if (document.documentElement.scrollWidth > innerWidth) bad.push("the page is wider than the window");
    const worded = "button, h1, h2, h3, label, aside, .right > div, .name, .badge, output, dt";
    for (const e of document.querySelectorAll(worded)) {
      if (e.offsetParent === null || e.closest(".unseen, .skip")) continue;
      const style = getComputedStyle(e);
      const told = `${e.className || e.tagName} ${e.textContent.slice(0, 30)}`;
      const cut = e.scrollWidth > e.clientWidth + 1 && style.textOverflow !== "ellipsis" && style.display !== "inline";
      if (cut) bad.push(`cut: ${told}`);
      if (e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")) bad.push(`beyond the edge: ${told}`);
    }
    return bad;
  },

  // Controls that a screen reader could only call "button".
  nameless() {
    const controls = "button, input, select, textarea, a, [role=application], [role=radiogroup], svg[role=img]";
    const named = (e) =>
      e.getAttribute("aria-label") ||
      e.textContent.trim() ||
      document.querySelector(`label[for="${e.id}"]`)?.textContent ||
      e.closest("label")?.textContent.trim();
    const all = [...document.querySelectorAll(controls)].filter((e) => !e.closest("[hidden]") && !named(e));
    return all.map((e) => e.outerHTML.slice(0, 120));
  },

  // Words whose contrast with what lies behind them is under 4.5 (WCAG AA).
  faint() {
    const channel = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
    const parse = (s) => s.match(/[\d.]+/g).map(Number);
    const behind = (e) => {
      for (; e; e = e.parentElement) {
        const c = parse(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0.9) return c;
      }
      return [255, 255, 255];
    };
    const bad = new Set();
    for (const e of document.querySelectorAll("header *, .left *, .right *, .filterbar *, .status")) {
      const words = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
      const mixed = getComputedStyle(e).backgroundColor.startsWith("color(");
      if (!e.offsetParent || !words || mixed || e.closest(":disabled")) continue;
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < 4.5) bad.add(`${e.className || e.tagName} "${e.textContent.slice(0, 20)}" ${ratio.toFixed(2)}`);
    }
    return [...bad];
  },

  // Pictures in the window that are not there (yet).
  missing(selector) {
    const seen = (e) => e.getBoundingClientRect().top < innerHeight && e.offsetParent;
    return [...document.querySelectorAll(selector)].filter((e) => seen(e) && !(e.complete && e.naturalWidth)).map((e) => e.src);
  },
});
