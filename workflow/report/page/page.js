// Filters, search, sorting, navigation and theme. Without it the page is a plain document.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  // Theme: what the system says until somebody chooses.
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("mrisr-theme", root.dataset.theme); } catch (error) { /* not kept */ }
  });

  // Contents: a drawer on narrow screens.
  const menu = document.getElementById("menu"), nav = document.getElementById("nav");
  const drawer = (open) => {
    nav.classList.toggle("open", open);
    menu.setAttribute("aria-expanded", String(open));
  };
  menu.addEventListener("click", () => drawer(!nav.classList.contains("open")));
  nav.addEventListener("click", (event) => { if (event.target.closest("a")) drawer(false); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") drawer(false); });

  // Filters: below the bar on narrow screens.
  const filter = document.getElementById("filter");
  filter.addEventListener("click", () => {
    const open = document.getElementById("filters").classList.toggle("open");
    filter.setAttribute("aria-expanded", String(open));
  });

  // A paragraph to copy.
  const copy = document.getElementById("copy");
  copy.addEventListener("click", async () => {
    const text = document.getElementById("methods-text");
    try {
      await navigator.clipboard.writeText(text.innerText);
      copy.textContent = "Copied";
    } catch (error) { // not allowed from here: it is selected, to be copied by hand
      getSelection().selectAllChildren(text);
    }
  });

  // The header may wrap; anchors must come to rest below it.
  const bar = document.querySelector(".bar");
  new ResizeObserver(() => root.style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);

  // Deep links open what they point into.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    const inner = target.matches("article") && target.querySelector(":scope > details");
    if (inner) inner.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);

  // Where the reader is.
  const links = new Map(all("#nav a").map((link) => [link.hash.slice(1), link]));
  const marks = all("[id]", document.getElementById("main")).filter((el) => links.has(el.id));
  let waiting = false;
  const follow = () => {
    waiting = false;
    const line = bar.offsetHeight + 60;
    let here = marks[0];
    for (const mark of marks) if (mark.offsetParent && mark.getBoundingClientRect().top <= line) here = mark;
    for (const [id, link] of links) {
      if (id === here.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const link = links.get(here.id);
    const box = link.getBoundingClientRect(), frame = nav.getBoundingClientRect();
    if (box.top < frame.top || box.bottom > frame.bottom) nav.scrollTop += box.top - frame.top - 80;
  };
  addEventListener("scroll", () => {
    if (!waiting) { waiting = true; requestAnimationFrame(follow); }
  }, { passive: true });

  // Row groups: the heading of a group spans rows, which come and go and change places.
  const groups = new Map();
  const groupOf = (body) => {
    if (!groups.has(body)) {
      const rows = [...body.rows];
      const first = rows[0] && rows[0].cells[0];
      const head = first && first.rowSpan > 1 ? first : null;
      groups.set(body, { head, rows, order: rows });
    }
    return groups.get(body);
  };
  const layOut = (body) => {
    const { head, order } = groupOf(body);
    if (head) head.remove();
    for (const row of order) body.append(row);
    if (!head) return;
    const shown = order.filter((row) => !row.hidden);
    if (shown.length) {
      head.rowSpan = shown.length;
      shown[0].prepend(head);
    } else order[0].prepend(head);
  };

  // Filters and search.
  const form = document.getElementById("filters");
  const keys = ["dataset", "scale", "method"];
  const marked = all(keys.map((key) => `[data-${key}]`).join(","), document.body)
    .filter((el) => !form.contains(el) && !el.closest("#viewer"));
  const rows = all("main tbody tr").filter((row) => !row.closest("table").matches(".plain"));
  const fits = (el, chosen) => keys.every((key) => {
    const said = el.dataset[key];
    return !chosen[key] || !said || said.split(" ").includes(chosen[key]);
  });
  const apply = () => {
    const chosen = Object.fromEntries(keys.map((key) => [key, form.elements[key].value]));
    const text = form.elements.text.value.trim().toLowerCase();
    const on = text || keys.some((key) => chosen[key]);
    root.classList.toggle("filtered", Boolean(on));
    for (const el of marked) {
      const fit = fits(el, chosen);
      if (/^T[DH]$/.test(el.tagName)) el.classList.toggle("dim", !fit);
      else if (el.tagName !== "TR") el.hidden = !fit;
    }
    for (const row of rows) {
      row.hidden = !fits(row, chosen) || Boolean(text && !row.textContent.toLowerCase().includes(text));
    }
    for (const body of new Set(rows.map((row) => row.parentNode))) {
      layOut(body);
      body.hidden = groupOf(body).rows.every((row) => row.hidden);
    }
    for (const table of all("main table:not(.plain)")) {
      const bodies = [...table.tBodies];
      const block = table.closest(".scroll") || table;
      const empty = bodies.length > 0 && bodies.every((body) => body.hidden);
      block.hidden = empty;
      const above = block.previousElementSibling;
      if (above && /^H[345]$/.test(above.tagName)) above.hidden = empty;
    }
    follow();
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());

  // Sorting: inside each group of rows; a third click restores the order.
  const value = (cell) => {
    if (!cell) return NaN;
    const said = cell.dataset.value;
    if (said !== undefined && said !== "") return said === "inf" ? Infinity : Number(said);
    const text = cell.textContent.trim();
    if (text.startsWith("∞")) return Infinity;
    const found = text.replace(/,/g, "").replace("−", "-").match(/^[<>≤≥]?\s*([-+]?\d+(\.\d+)?(e[-+]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  };
  const cellAt = (row, column) => {
    let at = 0;
    for (const cell of row.cells) {
      if (column < at + cell.colSpan) return cell;
      at += cell.colSpan;
    }
    return null;
  };
  const headings = (table) => {
    // The column of every heading that spans one column and reaches down to the rows.
    const lines = [...table.tHead.rows], taken = lines.map(() => []), found = [];
    lines.forEach((line, i) => {
      let column = 0;
      for (const cell of line.cells) {
        while (taken[i][column]) column += 1;
        for (let r = i; r < Math.min(lines.length, i + cell.rowSpan); r += 1) {
          for (let c = column; c < column + cell.colSpan; c += 1) taken[r][c] = true;
        }
        if (cell.colSpan === 1 && i + cell.rowSpan >= lines.length) found.push([cell, column]);
        column += cell.colSpan;
      }
    });
    return found;
  };
  for (const table of all("main table:not(.plain)")) {
    if (!table.tHead) continue;
    const grouped = [...table.tBodies].some((body) => groupOf(body).head);
    const found = headings(table);
    for (const [heading, column] of found) {
      if (!heading.textContent.trim() || (grouped && column === 0)) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        const next = now === "descending" ? "ascending" : now === "ascending" ? "" : "descending";
        for (const [other] of found) other.removeAttribute("aria-sort");
        if (next) heading.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        for (const body of table.tBodies) {
          const group = groupOf(body);
          if (group.head) group.head.remove();
          const place = column - (group.head ? 1 : 0);
          group.order = [...group.rows];
          if (next) {
            const keyed = new Map(group.rows.map((row) => [row, cellAt(row, place)]));
            group.order.sort((a, b) => {
              const x = value(keyed.get(a)), y = value(keyed.get(b));
              if (Number.isNaN(x) && Number.isNaN(y)) {
                const [s, t] = [a, b].map((row) => keyed.get(row)?.textContent.trim() || "");
                return sign * s.localeCompare(t, undefined, { numeric: true });
              }
              if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
              return x === y ? 0 : sign * (x < y ? -1 : 1);
            });
          }
          layOut(body);
        }
      });
    }
  }

  // Figures at full size and back.
  for (const image of all("main figure img")) {
    const toggle = () => image.closest("figure").classList.toggle("full");
    image.addEventListener("click", toggle);
    image.addEventListener("keydown", (event) => { if (event.key === "Enter") toggle(); });
  }

  // Wide tables scroll by keyboard too.
  const wide = (box) => box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
  const widths = new ResizeObserver((entries) => { for (const entry of entries) wide(entry.target); });
  for (const box of all("main .scroll")) { box.tabIndex = 0; widths.observe(box); }

  // Print shows everything.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const its of all("details:not([open])")) { closed.push(its); its.open = true; }
  });
  addEventListener("afterprint", () => { while (closed.length) closed.pop().open = false; });

  reveal();
  follow();
})();
