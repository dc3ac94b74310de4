// Histograms of the overview: bars that uPlot draws, with what the pointer is at told in words.
"use strict";

(() => {
  const HEIGHT = 220;

  const nameOf = (chart, bar) =>
    chart.names
      ? chart.names[bar]
      : `${SADGR.format(chart.edges[bar], 3)} to ${SADGR.format(chart.edges[bar + 1], 3)}`;

  const counted = (chart, bar) => {
    const count = chart.counts[bar];
    return `${count.toLocaleString("en")} ${count === 1 ? chart.what.replace(/s$/, "") : chart.what}`;
  };

  const shortened = (text) => (text.length > 12 ? `${text.slice(0, 11)}…` : text);

  /** Positions on the x axis: bins by their middles, named values one after another. */
  const positions = (chart) =>
    chart.names
      ? chart.names.map((_, place) => place)
      : chart.counts.map((_, bin) => (chart.edges[bin] + chart.edges[bin + 1]) / 2);

  const optionsFor = (chart, width, readout) => {
    const x = positions(chart);
    const half = chart.names ? 0.6 : (chart.edges[1] - chart.edges[0]) / 2;
    const axis = { stroke: SADGR.colour("--ink"), grid: { stroke: SADGR.colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: () => [x[0] - half, x[x.length - 1] + half] }, y: { range: (_, low, high) => [0, high * 1.05] } },
      axes: [
        chart.names
          ? { ...axis, splits: () => x, values: (plot, at) => labels(plot, chart, at), grid: { show: false } }
          : { ...axis, grid: { show: false } },
        { ...axis, size: 60, values: (_, at) => at.map((value) => (Number.isInteger(value) ? value.toLocaleString("en") : "")) },
      ],
      series: [
        {},
        {
          fill: SADGR.colour("--series-1"),
          stroke: SADGR.colour("--panel"),
          width: 1,
          paths: uPlot.paths.bars({ size: [chart.names ? 0.8 : 1, 80] }),
          points: { show: false },
        },
      ],
      hooks: {
        setCursor: [
          (plot) => {
            const bar = plot.cursor.idx;
            const told = bar === null || bar === undefined ? "" : `${nameOf(chart, bar)}: ${counted(chart, bar)}`;
            if (readout.textContent !== told) readout.textContent = told;
          },
        ],
      },
    };
  };

  /** Names at the axis, as many as have room. */
  const labels = (plot, chart, at) => {
    const longest = Math.max(...chart.names.map((name) => shortened(name).length));
    const room = Math.max(1, Math.floor(plot.bbox.width / devicePixelRatio / (longest * 7 + 8)));
    const every = Math.ceil(chart.names.length / room);
    return at.map((place) => (place % every === 0 ? shortened(chart.names[place]) : ""));
  };

  const draw = (figure) => {
    const chart = SADGR.data.charts[Number(figure.dataset.chart)];
    const place = figure.querySelector(".plot");
    place.replaceChildren();
    const options = optionsFor(chart, Math.max(200, place.clientWidth), figure.querySelector(".readout"));
    return new uPlot(options, [positions(chart), chart.counts], place);
  };

  const figures = [...document.querySelectorAll("[data-chart]")];
  const drawn = new Map();
  const drawAll = () => {
    for (const figure of figures) {
      drawn.get(figure)?.destroy();
      drawn.set(figure, draw(figure));
    }
  };
  drawAll();
  SADGR.onTheme(drawAll);
  addEventListener("resize", () => {
    for (const [figure, plot] of drawn) plot.setSize({ width: Math.max(200, figure.querySelector(".plot").clientWidth), height: HEIGHT });
  });
})();
