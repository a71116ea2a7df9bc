// Search, filters, sorting and the theme switch. Pages are complete without this file. It makes no request except for
// the script with the search entries, and inserts texts as text only.
"use strict";

(() => {
  const root = document.body.dataset.root;

  // Theme.
  const themeSwitch = document.querySelector("[data-theme-switch]");
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const labelSwitch = () => { themeSwitch.textContent = dark() ? "Light theme" : "Dark theme"; };
  themeSwitch.hidden = false;
  labelSwitch();
  themeSwitch.addEventListener("click", () => {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("report-theme", theme); } catch { /* storage is off */ }
    labelSwitch();
  });

  // Search: the entries are in scripts of the site. A page that is opened as a file may load scripts, but may not read
  // other files.
  const search = document.querySelector("[data-search]");
  const field = search.querySelector("input");
  const list = search.querySelector("ul");
  const status = search.querySelector("[role=status]");
  const MOST = 12;
  let entries = null;
  let chosen = -1;
  search.hidden = false;
  window.reportEntries = window.reportEntries || [];

  const load = () => {
    if (entries) return entries;
    const sources = search.dataset.search.split(" ").filter(Boolean);
    entries = Promise.all(sources.map(source => new Promise(done => {
      const script = document.createElement("script");
      script.src = root + source;
      script.onload = script.onerror = done;
      document.head.append(script);
    }))).then(() => window.reportEntries.flatMap(([label, detail, path, folder, numbers = []]) => [
      { label, detail, path },
      ...numbers.map(number => (
        { label: `${label} ${number}`, detail: `version of the ${detail}`, path: `${folder}${number}.html` })),
    ])).then(all => all.map(entry => ({ ...entry, text: `${entry.label} ${entry.detail}`.toLowerCase() })));
    return entries;
  };

  const close = () => { list.hidden = true; field.setAttribute("aria-expanded", "false"); choose(-1); };
  const choose = place => {
    chosen = place;
    [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === place)));
    if (place >= 0) {
      field.setAttribute("aria-activedescendant", list.children[place].id);
      list.children[place].scrollIntoView({ block: "nearest" });
    } else field.removeAttribute("aria-activedescendant");
  };
  const open = item => { if (item) location.href = root + item.dataset.path; };

  const show = async () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { close(); status.textContent = ""; return; }
    const found = (await load()).filter(entry => words.every(word => entry.text.includes(word)));
    found.sort((one, other) => one.label.length - other.label.length);
    list.replaceChildren(...found.slice(0, MOST).map((entry, at) => {
      const item = document.createElement("li");
      const detail = document.createElement("small");
      item.id = `result-${at}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.dataset.path = entry.path;
      detail.textContent = entry.detail;
      item.append(entry.label, detail);
      item.addEventListener("mousedown", event => { event.preventDefault(); open(item); });
      return item;
    }));
    status.textContent = found.length ? `${found.length} results` : "no results";
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    choose(-1);
  };

  field.addEventListener("focus", load);
  field.addEventListener("input", show);
  field.addEventListener("blur", close);
  field.addEventListener("keydown", event => {
    const last = list.children.length - 1;
    if (event.key === "ArrowDown") choose(Math.min(chosen + 1, last));
    else if (event.key === "ArrowUp") choose(Math.max(chosen - 1, 0));
    else if (event.key === "Enter") open(list.children[Math.max(chosen, 0)]);
    else if (event.key === "Escape") close();
    else return;
    if (event.key !== "Escape") event.preventDefault();
  });

  // Tables: a button in each heading sorts by that column.
  const value = (row, at) => {
    const cell = row.cells[at];
    return cell.dataset.value ?? cell.textContent.trim();
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach(other => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map(row => [value(row, at), row]);
        rows.sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
        if (down) rows.reverse();
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  // Filters: each select lists the values of a column, given by the rows' data attributes.
  for (const form of document.querySelectorAll("form[data-filters]")) {
    const rows = [...document.getElementById(form.dataset.filters).tBodies[0].rows];
    const selects = [...form.querySelectorAll("select")];
    const word = form.querySelector("input");
    const output = form.querySelector("output");
    const texts = new Map();
    for (const select of selects) {
      const values = new Set(rows.map(row => row.dataset[select.name] || ""));
      for (const one of [...values].sort()) select.append(new Option(one || "none", one || "\0"));
    }
    const apply = () => {
      const wanted = word.value.toLowerCase();
      let shown = 0;
      for (const row of rows) {
        if (wanted && !texts.has(row)) texts.set(row, row.textContent.toLowerCase());
        row.hidden = !(selects.every(({ name, value: one }) => !one || (row.dataset[name] || "\0") === one)
          && (!wanted || texts.get(row).includes(wanted)));
        shown += !row.hidden;
      }
      output.textContent = `${shown} of ${rows.length} rows`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", event => event.preventDefault());
    apply();
  }
})();
