// Light or dark: as the system has it, until somebody chooses. The choice holds for this page alone; a file has no place of
// its own to remember it in.
"use strict";
const page = (() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const button = document.getElementById("theme");
  const changed = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    button.setAttribute("aria-pressed", String(isDark()));
    for (const listener of listeners) listener();
  };
  document.querySelector(".tools").hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    changed();
  });
  system.addEventListener("change", changed);
  changed();

  // Paper is white: plots are drawn again for it.
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("on-paper");
    changed();
  });
  addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    root.classList.remove("on-paper");
    changed();
  });

  return {
    data: JSON.parse(document.getElementById("data").textContent),
    onTheme: (listener) => listeners.push(listener),
    colour: (name) => getComputedStyle(root).getPropertyValue("--" + name).trim(),
    say: (text) => {
      document.getElementById("said").textContent = text;
    },
    // An element with a class and a text: texts never become anything else.
    make: (tag, name, text) => {
      const element = document.createElement(tag);
      if (name) element.className = name;
      if (text !== undefined) element.textContent = text;
      return element;
    },
  };
})();
