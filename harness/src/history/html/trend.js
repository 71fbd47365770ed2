// The trend page's own: what is drawn, and which series are shown.
"use strict";
(() => {
  for (const [number, plot] of Object.entries(page.data.plots)) {
    page.data.plots[number] = {
      x: "time",
      height: 230,
      values: [plot.at, plot.value, plot.unhealthy, plot.median, plot.high, plot.low],
      band: [4, 5],
      labels: plot.labels,
      marks: plot.marks,
      series: [
        { name: "value", colour: "series-1" },
        { name: "in no baseline", colour: "series-2", dots: true },
        { name: "median", colour: "quiet", dash: true },
        { name: "upper bound", colour: "grid" },
        { name: "lower bound", colour: "grid" },
      ],
    };
  }
  plots.watch(document);

  const form = document.querySelector("form.filter");
  form.hidden = false;
  const rows = [...document.querySelectorAll("tr[data-series]")];
  const parts = new Map([...document.querySelectorAll("article[data-series]")].map((part) => [part.dataset.series, part]));
  const update = () => {
    const suite = document.getElementById("suite").value;
    const status = document.getElementById("status").value;
    const words = document.getElementById("words").value.trim().toLowerCase();
    let left = 0;
    for (const row of rows) {
      const fits =
        (!suite || row.dataset.suite === suite) &&
        (!status || row.dataset.status === status) &&
        (!words || row.textContent.toLowerCase().includes(words));
      row.hidden = !fits;
      parts.get(row.dataset.series).hidden = !fits;
      left += fits ? 1 : 0;
    }
    const nothing = document.querySelector(".nothing");
    if (nothing) nothing.hidden = left > 0;
    page.say(left + " series");
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());

  const follow = () => {
    const part = document.getElementById(location.hash.slice(1));
    if (part && part.matches("article")) part.focus();
  };
  addEventListener("hashchange", follow);
  follow();
})();
