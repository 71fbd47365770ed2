// The report's own: which cases are shown, the search through logs, what is open.
"use strict";
(() => {
  const rows = [...document.querySelectorAll("tr[data-case]")];
  const cases = new Map([...document.querySelectorAll("details.case")].map((part) => [part.dataset.case, part]));
  const logs = [...document.querySelectorAll("details.log > pre")].map((pre) => ({
    pre,
    text: pre.textContent,
    part: pre.parentElement,
    of: pre.closest("details.case").dataset.case,
  }));
  const shown = { outcome: "", words: "" };
  const MOST = 2000;

  plots.watch(document);
  for (const group of document.querySelectorAll(".filter")) group.hidden = false;

  // Only the lines that have the words, each of them marked.
  const search = (log, words) => {
    const hits = log.part.querySelector(":scope > summary .hits");
    if (!words) {
      if (log.pre.dataset.searched) log.pre.textContent = log.text;
      delete log.pre.dataset.searched;
      hits.textContent = "";
      return 0;
    }
    const found = log.text.split("\n").filter((line) => line.toLowerCase().includes(words));
    hits.textContent = found.length ? "· " + found.length + (found.length === 1 ? " line" : " lines") : "· nothing found";
    log.pre.dataset.searched = "yes";
    log.pre.textContent = "";
    for (const line of found.slice(0, MOST)) {
      const low = line.toLowerCase();
      let from = 0;
      for (let at = low.indexOf(words); at >= 0 && low.length === line.length; at = low.indexOf(words, from)) {
        log.pre.append(line.slice(from, at));
        log.pre.append(page.make("mark", "", line.slice(at, at + words.length)));
        from = at + words.length;
      }
      log.pre.append(line.slice(from) + "\n");
    }
    if (found.length > MOST) log.pre.append("… " + (found.length - MOST) + " more lines\n");
    return found.length;
  };

  const update = () => {
    const hits = new Map();
    for (const log of logs) {
      const found = search(log, shown.words);
      hits.set(log.of, (hits.get(log.of) || 0) + found);
      if (found && shown.words) log.part.open = true;
    }
    let left = 0;
    for (const row of rows) {
      const part = cases.get(row.dataset.case);
      const outcome = !shown.outcome || row.dataset.outcome === shown.outcome;
      const found = hits.get(row.dataset.case) || 0;
      const words = !shown.words || row.textContent.toLowerCase().includes(shown.words) || found > 0;
      row.hidden = !(outcome && words);
      left += row.hidden ? 0 : 1;
      if (!part) continue;
      part.hidden = row.hidden;
      part.querySelector(":scope > summary > .hits").textContent = found ? found + " in its log" : "";
      if (shown.words && found) part.open = true;
    }
    const nothing = document.querySelector(".nothing");
    if (nothing) nothing.hidden = left > 0;
    page.say(left + (left === 1 ? " case" : " cases"));
  };

  for (const button of document.querySelectorAll(".filter [data-outcome]")) {
    button.addEventListener("click", () => {
      shown.outcome = button.dataset.outcome;
      for (const other of document.querySelectorAll(".filter [data-outcome]"))
        other.setAttribute("aria-pressed", String(other === button));
      update();
    });
  }
  const field = document.getElementById("search");
  let waiting;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      shown.words = field.value.trim().toLowerCase();
      update();
    }, 120);
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && event.target === field) {
      field.value = "";
      shown.words = "";
      update();
    }
  });

  const unfold = document.getElementById("unfold");
  if (unfold) {
    unfold.addEventListener("click", () => {
      const open = unfold.getAttribute("aria-pressed") !== "true";
      unfold.setAttribute("aria-pressed", String(open));
      unfold.textContent = open ? "Close all" : "Open all";
      for (const part of cases.values()) part.open = open;
    });
  }

  // A link to a case opens it.
  const follow = () => {
    const part = document.getElementById(location.hash.slice(1));
    if (!part || !part.matches("details.case")) return;
    part.open = true;
    part.hidden = false;
    part.scrollIntoView();
    part.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#case-"]');
    if (link && link.hash === location.hash) follow();
  });
  follow();

  // On paper every case is open; logs are as they were left.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...cases.values()].filter((part) => !part.open);
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });
})();
