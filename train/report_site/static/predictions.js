// Prediction against truth, and calibration: points and lines that uPlot draws, with what the pointer is at told in words.
"use strict";

(() => {
  const HEIGHT = 360;
  const REACH = 24; // pixels from the pointer to a point that is still meant
  const GOLDEN = 0.6180339887;

  const axis = () => ({ stroke: SADGR.colour("--ink"), grid: { stroke: SADGR.colour("--line"), width: 1 }, ticks: { show: false } });

  const padded = (values) => {
    const known = values.filter((value) => value !== null);
    const low = Math.min(...known);
    const high = Math.max(...known);
    const room = (high - low || 1) * 0.05;
    return [low - room, high + room];
  };

  /** The line on which prediction and truth agree. */
  const diagonal = (plot) => {
    const low = Math.max(plot.scales.x.min, plot.scales.y.min);
    const high = Math.min(plot.scales.x.max, plot.scales.y.max);
    if (low >= high) return;
    plot.ctx.save();
    plot.ctx.strokeStyle = SADGR.colour("--muted");
    plot.ctx.lineWidth = devicePixelRatio;
    plot.ctx.beginPath();
    for (const end of [low, high]) plot.ctx.lineTo(plot.valToPos(end, "x", true), plot.valToPos(end, "y", true));
    plot.ctx.stroke();
    plot.ctx.restore();
  };

  /** Classes are spread a little, always alike, so that points on one place can be told apart. */
  const spread = (panel) =>
    panel.names ? panel.x.map((value, place) => value + (((place * GOLDEN) % 1) - 0.5) * 0.5) : panel.x;

  const nearest = (plot, x, y) => {
    let found = null;
    let least = REACH ** 2;
    for (let place = 0; place < x.length; place += 1) {
      const distance = (plot.valToPos(x[place], "x") - plot.cursor.left) ** 2 + (plot.valToPos(y[place], "y") - plot.cursor.top) ** 2;
      if (distance < least) [found, least] = [place, distance];
    }
    return found;
  };

  const told = (points, panel, place) => {
    const truth = panel.names ? panel.names[panel.x[place]] : SADGR.format(panel.x[place]);
    const range = panel.low[place] === panel.high[place] ? "" : ` (seeds ${SADGR.format(panel.low[place])} to ${SADGR.format(panel.high[place])})`;
    const said = panel.names ? "probability" : "prediction";
    return `${points.ids[place]}: truth ${truth}, ${said} ${SADGR.format(panel.y[place])}${range}`;
  };

  const drawScatter = (points, panel, figure) => {
    const place = figure.querySelector(".plot");
    const readout = figure.querySelector(".readout");
    const marker = SADGR.element("div", { class: "marker", hidden: true });
    const spreadX = spread(panel);
    const order = spreadX.map((_, at) => at).sort((one, other) => spreadX[one] - spreadX[other]);
    const x = order.map((at) => spreadX[at]);
    const y = order.map((at) => panel.y[at]);
    let pointed = null;
    const point = (plot) => {
      const at = plot.cursor.left < 0 ? null : nearest(plot, x, y);
      pointed = at === null ? null : order[at];
      marker.hidden = at === null;
      plot.over.classList.toggle("pointed", at !== null && points.links[pointed] !== null);
      if (at !== null) {
        marker.style.left = `${plot.valToPos(x[at], "x")}px`;
        marker.style.top = `${plot.valToPos(y[at], "y")}px`;
      }
      const text = at === null ? "" : told(points, panel, pointed);
      if (readout.textContent !== text) readout.textContent = text;
    };
    const names = panel.names;
    const xRange = names ? [-0.5, names.length - 0.5] : padded([...panel.x]);
    const options = {
      width: Math.max(200, place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: () => xRange }, y: { range: () => (names ? [-0.02, 1.02] : padded(panel.y)) } },
      axes: [
        names
          ? { ...axis(), label: "truth", splits: () => names.map((_, at) => at), values: () => names.map((name) => (name.length > 12 ? `${name.slice(0, 11)}…` : name)) }
          : { ...axis(), label: "truth" },
        { ...axis(), label: names ? "probability" : "prediction", size: 60 },
      ],
      series: [
        {},
        { stroke: SADGR.colour("--series-1"), paths: () => null, points: { show: true, size: 7, width: 1, fill: SADGR.colour("--panel"), stroke: SADGR.colour("--series-1") } },
      ],
      hooks: { drawAxes: names ? [] : [diagonal], setCursor: [point] },
    };
    const plot = new uPlot(options, [x, y], place);
    plot.over.append(marker);
    plot.over.addEventListener("click", () => {
      const link = pointed === null ? null : points.links[pointed];
      if (link !== null) location.href = document.body.dataset.root + link;
    });
    return plot;
  };

  const drawCalibration = (one, figure) => {
    const place = figure.querySelector(".plot");
    const lines = one.seeds.map((bins) => [bins.map((bin) => bin.predicted), bins.map((bin) => bin.observed)]);
    const joined = uPlot.join(lines);
    const ranges = one.probability ? [[0, 1], [0, 1]] : [padded(joined[0]), padded(joined.slice(1).flat().filter((value) => value !== undefined))];
    const options = {
      width: Math.max(200, place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: () => ranges[0] }, y: { range: () => ranges[1] } },
      axes: [
        { ...axis(), label: one.probability ? "probability" : "prediction" },
        { ...axis(), label: one.probability ? "part that is true" : "mean truth", size: 60 },
      ],
      series: [
        {},
        ...lines.map((_, seed) => {
          const stroke = SADGR.colour(`--series-${(seed % 6) + 1}`);
          return { stroke, width: 2, spanGaps: true, points: { show: true, size: 6, fill: stroke, stroke } };
        }),
      ],
      hooks: { drawAxes: [diagonal] },
    };
    return new uPlot(options, joined, place);
  };

  const scatters = document.getElementById("scatter-plots");
  const drawings = [];
  SADGR.data.scatter.panels.forEach((panel) => {
    const label = `${panel.title}: prediction against truth; the numbers are in the table of clips`;
    const figure = SADGR.element("figure", { class: "chart" }, [
      SADGR.element("figcaption", {}, [SADGR.element("bdi", { text: panel.title })]),
      SADGR.element("div", { class: "plot", role: "img", "aria-label": label }),
      SADGR.element("output", { class: "readout", "aria-live": "off" }),
    ]);
    scatters.append(figure);
    drawings.push([figure, () => drawScatter(SADGR.data.scatter, panel, figure)]);
  });
  for (const figure of document.querySelectorAll("[data-calibration]")) {
    drawings.push([figure, () => drawCalibration(SADGR.data.calibration[Number(figure.dataset.calibration)], figure)]);
  }

  const plots = new Map();
  const drawAll = () => {
    for (const [figure, draw] of drawings) {
      plots.get(figure)?.destroy();
      figure.querySelector(".plot").replaceChildren();
      plots.set(figure, draw());
    }
    scatters.dataset.ready = "true";
  };
  drawAll();
  SADGR.onTheme(drawAll);
  addEventListener("resize", () => {
    for (const [figure, plot] of plots) plot.setSize({ width: Math.max(200, figure.querySelector(".plot").clientWidth), height: HEIGHT });
  });
})();
