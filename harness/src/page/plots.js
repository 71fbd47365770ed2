// Plots: uPlot with this page's colours, a line of values under each, and a keyboard.
"use strict";
const plots = (() => {
  const SERIES = 6;
  const drawn = new Map();

  const figure = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (value === 0) return "0";
    if (size >= 1e6 || size < 1e-3) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };
  const seconds = (value) => {
    if (value < 60) return figure(Math.round(value * 100) / 100) + " s";
    const whole = Math.round(value);
    const two = (number) => String(number).padStart(2, "0");
    if (whole < 3600) return Math.floor(whole / 60) + "m " + two(whole % 60) + "s";
    return Math.floor(whole / 3600) + "h " + two(Math.floor(whole / 60) % 60) + "m";
  };
  const day = (value) => new Date(value * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const xText = (plot, value) =>
    plot.x === "seconds" ? seconds(value) : plot.x === "time" ? day(value) : plot.x + " " + Math.round(value);

  const place = (plot, values, index) =>
    xText(plot, values[0][index]) + (plot.labels && plot.labels[index] ? " · " + plot.labels[index] : "");

  // Series have steps of their own; uPlot wants one list for all.
  const align = (plot) => {
    if (plot.values) return plot.values;
    if (plot.series.length === 1) return [plot.series[0].x, plot.series[0].y];
    return uPlot.join(plot.series.map((series) => [series.x, series.y]));
  };

  // Steps of an axis in seconds that people count in.
  const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800]
    .concat([1, 2, 3, 6, 12, 24, 48, 120, 240, 1200, 12000].map((hours) => hours * 3600));

  const options = (plot, width, reads) => {
    const text = page.colour("quiet");
    const grid = { stroke: page.colour("grid"), width: 1 };
    const font = "12px " + getComputedStyle(document.body).fontFamily;
    const axis = { stroke: text, font, grid, ticks: grid };
    const xValues = {
      step: undefined,
      // By UTC, as all times of these pages are; hours only where days are few.
      time: (u, splits) => {
        const hours = u.scales.x.max - u.scales.x.min < 4 * 86400;
        return splits.map((value) => new Date(value * 1000).toISOString().slice(5, hours ? 16 : 10).replace("T", " "));
      },
      seconds: (u, splits) => splits.map((value) => (value < 60 ? figure(value) + " s" : seconds(value))),
    };
    return {
      width,
      height: plot.height || 220,
      tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1e3), "Etc/UTC"),
      legend: { show: false },
      cursor: {
        sync: plot.sync ? { key: plot.sync } : undefined,
        drag: { x: true, y: false, uni: 20 },
        points: { size: 7 },
        focus: { prox: 24 },
      },
      scales: {
        x: { time: plot.x === "time", range: plot.span ? (u, low, high) => (u.zoomed ? [low, high] : plot.span) : undefined },
        y: {
          distr: plot.log ? 3 : 1,
          range: plot.log ? undefined : plot.range ? () => plot.range : (u, low, high) => spread(low, high),
        },
      },
      axes: [
        { ...axis, values: xValues[plot.x], incrs: plot.x === "seconds" ? SECONDS : undefined, space: 64, size: 32, ...(plot.x === "step" ? { label: "step", labelFont: font, labelSize: 18 } : {}) },
        { ...axis, size: 66, values: (u, splits) => splits.map((value) => (value === null ? "" : figure(value))) },
      ],
      series: [{}].concat(
        plot.series.map((series, index) => ({
          label: series.name,
          stroke: page.colour(series.colour || "series-" + ((index % SERIES) + 1)),
          width: series.dots ? 0 : 1.75,
          dash: series.dash ? [5, 4] : undefined,
          paths: series.dots ? () => null : undefined,
          spanGaps: true,
          points: { show: series.dots || (series.x || plot.values[0]).length < 40, size: series.dots ? 7 : 5 },
        })),
      ),
      bands: plot.band ? [{ series: plot.band, fill: page.colour("band") }] : undefined,
      hooks: { setCursor: [reads], draw: plot.marks ? [(u) => mark(u, plot.marks)] : [] },
    };
  };

  // Some air above and below; a flat line lies in the middle.
  const spread = (low, high) => {
    if (low === null || high === null) return [0, 1];
    const air = high > low ? (high - low) * 0.08 : Math.abs(high) * 0.1 || 1;
    const from = low >= 0 && low - air < 0 ? 0 : low - air;
    return [from, high + air];
  };

  // Numbered lines where something changed; the list under the plot says what.
  const mark = (u, marks) => {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = page.colour("odd");
    ctx.lineWidth = ratio;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.font = "600 " + 11 * ratio + "px sans-serif";
    ctx.textAlign = "center";
    for (const [index, x] of marks.entries()) {
      const left = Math.round(u.valToPos(x, "x", true));
      if (left < bbox.left || left > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(left, bbox.top + 14 * ratio);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      ctx.fillText(String(index + 1), left, bbox.top + 11 * ratio);
    }
    ctx.restore();
  };

  const draw = (holder, plot) => {
    const values = align(plot);
    const readout = holder.parentElement.querySelector(".readout");
    const entries = [];
    readout.textContent = "";
    const where = readout.appendChild(page.make("span", "at"));
    plot.series.forEach((series, index) => {
      const entry = readout.appendChild(page.make("span", "entry"));
      const swatch = entry.appendChild(page.make("span", "swatch"));
      swatch.style.background = page.colour(series.colour || "series-" + ((index % SERIES) + 1));
      entry.appendChild(page.make("span", "name", series.name));
      entries.push(entry.appendChild(page.make("b", "value")));
    });
    const last = (list) => {
      for (let index = list.length - 1; index >= 0; index--) if (list[index] !== null && list[index] !== undefined) return list[index];
      return null;
    };
    const reads = (u) => {
      const index = u.cursor.idx;
      const has = index !== null && index !== undefined && u.cursor.left >= 0;
      where.textContent = has ? place(plot, values, index) : "last";
      entries.forEach((entry, series) => {
        const value = has ? near(values, series + 1, index) : last(values[series + 1]);
        entry.textContent = figure(value) + (plot.unit ? " " + plot.unit : "");
      });
    };
    const width = Math.max(240, holder.clientWidth);
    const u = new uPlot(options(plot, width, reads), values, holder);
    reads(u);
    return { u, plot, values, holder, width };
  };

  // The value at a place, or the one before it: series that came at other steps have none there.
  const near = (values, series, index) => {
    for (let at = index; at >= 0; at--) {
      const value = values[series][at];
      if (value !== null && value !== undefined) return value;
    }
    return null;
  };

  const keys = (holder) => {
    holder.addEventListener("keydown", (event) => {
      const one = drawn.get(holder);
      if (!one) return;
      const { u, plot, values } = one;
      const end = values[0].length - 1;
      const at = u.cursor.idx === null || u.cursor.idx === undefined || u.cursor.left < 0 ? end : u.cursor.idx;
      const step = event.shiftKey ? Math.max(1, Math.round(end / 20)) : 1;
      const to = {
        ArrowLeft: Math.max(0, at - step),
        ArrowRight: Math.min(end, at + step),
        Home: 0,
        End: end,
      }[event.key];
      if (event.key === "Escape") {
        u.setCursor({ left: -10, top: -10 });
        return;
      }
      if (to === undefined) return;
      event.preventDefault();
      const y = near(values, 1, to);
      u.setCursor({ left: u.valToPos(values[0][to], "x"), top: y === null ? 0 : u.valToPos(y, "y") });
      page.say(
        place(plot, values, to) +
          ": " +
          plot.series.map((series, index) => series.name + " " + figure(near(values, index + 1, to))).join(", "),
      );
    });
  };

  const again = (one) => {
    one.u.destroy();
    drawn.set(one.holder, draw(one.holder, one.plot));
  };

  // A plot is drawn when it is first seen: a page may have hundreds.
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) if (entry.isIntersecting) show(entry.target);
    },
    { rootMargin: "300px" },
  );
  const show = (holder) => {
    seen.unobserve(holder);
    const plot = page.data.plots[holder.dataset.plot];
    if (!plot || drawn.has(holder)) return;
    drawn.set(holder, draw(holder, plot));
    keys(holder);
  };

  const watch = (root) => {
    for (const holder of root.querySelectorAll("[data-plot]")) seen.observe(holder);
  };
  const drop = (holder) => {
    const one = drawn.get(holder);
    if (one) one.u.destroy();
    drawn.delete(holder);
    seen.unobserve(holder);
  };

  page.onTheme(() => {
    for (const one of [...drawn.values()]) again(one);
  });
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const one of drawn.values()) {
        const width = Math.max(240, one.holder.clientWidth);
        if (one.holder.clientWidth && width !== one.width) {
          one.width = width;
          one.u.setSize({ width, height: one.plot.height || 220 });
        }
      }
    }, 80);
  });
  addEventListener("beforeprint", () => {
    for (const holder of document.querySelectorAll("details[open] [data-plot], section > figure [data-plot]"))
      if (holder.clientWidth) show(holder);
  });

  return { watch, drop, figure, day };
})();
