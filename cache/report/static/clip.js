// A clip's time line: lanes on one axis, a cursor over all of them, and the sound that goes with it.
"use strict";

(() => {
  const tracks = document.getElementById("tracks");
  if (!tracks) return;
  const clip = SADGR.data.clip;
  const PIXELS_A_SECOND = 90;
  const MOST_PIXELS = 16000;
  const STEP_SECONDS = 0.1;
  const CURVE_PIXELS = 72;

  const view = document.getElementById("view");
  const cursor = document.getElementById("cursor");
  const told = document.getElementById("at");
  const button = document.getElementById("play");
  const sound = document.getElementById("sound");
  const words = [...document.querySelectorAll(".word")];
  let zoom = 1;
  let width = 0;
  let now = 0;
  let until = null; // end of the word that plays alone
  let back = 0; // where the cursor returns to afterwards

  const pixels = (seconds) => (seconds / clip.seconds) * width;
  const clamped = (seconds) => Math.min(Math.max(seconds, 0), clip.seconds);

  // ---- The cursor

  const show = (seconds) => {
    now = clamped(seconds);
    cursor.style.left = `${Math.min(pixels(now), width - 2)}px`;
    const here = words.filter((word) => Number(word.dataset.start) <= now && now < Number(word.dataset.end));
    for (const word of words) word.classList.toggle("now", here.includes(word));
    const said = [...new Set(here.map((word) => word.textContent.trim()))].join(" | ");
    cursor.setAttribute("aria-valuenow", String(now));
    cursor.setAttribute("aria-valuetext", `${now.toFixed(3)} s ${said}`);
    told.replaceChildren(`${now.toFixed(3)} s of ${clip.seconds.toFixed(3)} s `, SADGR.element("bdi", { text: said }));
  };

  const intoView = () => {
    const x = pixels(now);
    if (x < view.scrollLeft || x > view.scrollLeft + view.clientWidth - 20) view.scrollLeft = x - view.clientWidth * 0.1;
  };

  const seek = (seconds) => {
    until = null;
    show(seconds);
    if (sound) sound.currentTime = Math.min(now, clip.soundSeconds);
    intoView();
  };

  // ---- Sound

  const pause = () => {
    until = null;
    sound.pause();
  };

  const play = () => {
    if (now >= clip.soundSeconds) seek(0);
    sound.play().catch((error) => told.replaceChildren(`The sound cannot be played: ${error.message}`));
  };

  /** Plays one word; the cursor then stands at its start again, so that space goes on from there. */
  const playWord = (word) => {
    seek(Number(word.dataset.start));
    if (!sound || now >= clip.soundSeconds) return;
    back = now;
    until = Number(word.dataset.end);
    play();
  };

  const follow = () => {
    if (sound.paused) return;
    if (until !== null && sound.currentTime >= until) {
      pause();
      seek(back);
      return;
    }
    show(sound.currentTime);
    intoView();
    requestAnimationFrame(follow);
  };

  if (sound) {
    button.addEventListener("click", () => {
      if (sound.paused) play();
      else pause();
    });
    const state = () => {
      button.textContent = sound.paused ? "Play" : "Pause";
      button.setAttribute("aria-pressed", String(!sound.paused));
      if (!sound.paused) follow();
    };
    for (const event of ["play", "pause", "ended"]) sound.addEventListener(event, state);
  }

  // ---- Lanes

  const placed = () => {
    for (const word of words) {
      const { start, end } = word.dataset;
      word.style.left = `${pixels(Number(start))}px`;
      word.style.width = `${Math.max(3, pixels(Number(end) - Number(start)) - 1)}px`;
    }
    for (const tick of document.querySelectorAll(".tick")) tick.style.left = `${pixels(Number(tick.dataset.at))}px`;
    const frames = [...document.querySelectorAll(".frame")];
    frames.forEach((frame, number) => {
      const left = pixels(Number(frame.dataset.at));
      const next = number + 1 < frames.length ? pixels(Number(frames[number + 1].dataset.at)) : width;
      frame.style.left = `${left}px`;
      frame.style.width = `${Math.max(0, Math.min(120, next - left - 2))}px`;
    });
    const lane = document.querySelector(".frames");
    const tallest = Math.max(0, ...frames.map((frame) => frame.offsetHeight));
    if (lane) lane.style.height = `${tallest + 12}px`;
    const spectrogram = document.getElementById("spectrogram");
    if (spectrogram) spectrogram.style.width = `${pixels(clip.soundSeconds)}px`;
  };

  const ruled = () => {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600];
    const step = steps.find((one) => pixels(one) >= 50) ?? 3600;
    const marks = [];
    for (let number = 0; number * step <= clip.seconds; number += 1) {
      const mark = SADGR.element("span", { text: (number * step).toFixed(step < 1 ? 1 : 0) });
      mark.style.left = `${pixels(number * step)}px`;
      marks.push(mark);
    }
    document.getElementById("ruler").replaceChildren(...marks);
  };

  for (const word of words) {
    const bar = SADGR.element("span", { class: "score" });
    bar.style.height = `${Math.round(20 * Math.min(Math.max(Number(word.dataset.score), 0), 1))}px`;
    word.append(bar);
    word.addEventListener("click", () => playWord(word));
  }
  tracks.addEventListener("click", (event) => {
    if (event.target.closest(".word") || !event.target.closest(".lane")) return;
    seek(((event.clientX - tracks.getBoundingClientRect().left) / width) * clip.seconds);
  });
  cursor.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: now - STEP_SECONDS, ArrowRight: now + STEP_SECONDS, Home: 0, End: clip.seconds }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    seek(to);
  });

  // ---- Waveform

  const wave = document.getElementById("wave");
  let waveform = null;
  const drawWave = () => {
    if (!wave) return;
    const colours = { waveColor: SADGR.colour("--series-1"), progressColor: SADGR.colour("--series-1") };
    wave.style.width = `${pixels(clip.soundSeconds)}px`;
    if (waveform) {
      waveform.setOptions(colours);
      return;
    }
    waveform = WaveSurfer.create({
      container: wave,
      media: sound,
      peaks: clip.peaks,
      duration: clip.soundSeconds,
      height: 96,
      normalize: true,
      cursorWidth: 0,
      interact: false,
      hideScrollbar: true,
      cspNonce: document.querySelector("meta[name=style-nonce]").content,
      ...colours,
    });
  };

  // ---- Curves

  /** All series of a curve over one sorted axis, as uPlot takes them; a gap is null, no value at that time undefined. */
  const joined = (curve) => {
    const tables = curve.series.map((series) => {
      const order = series.seconds.map((_, place) => place).sort((a, b) => series.seconds[a] - series.seconds[b]);
      return [order.map((place) => series.seconds[place]), order.map((place) => series.values[place])];
    });
    return tables.length ? uPlot.join(tables) : [[]];
  };

  const drawCurve = (curve, place) => {
    const data = joined(curve);
    const range = document.querySelector(`[data-range="${place.dataset.curve}"]`);
    const values = data.slice(1).flat().filter((value) => value !== null && value !== undefined);
    const [low, high] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
    const extent = values.length ? `${SADGR.format(low)} to ${SADGR.format(high)} ${curve.unit}` : "no values";
    const space = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1;
    const names = curve.series.map((series, number) => {
      const name = SADGR.element("bdi", { text: `${series.name} ` });
      name.style.color = SADGR.colour(`--series-${(number % 6) + 1}`);
      return name;
    });
    const rest = (value) => range.replaceChildren(...(names.length > 1 ? names : []), value);
    rest(extent);
    place.replaceChildren();
    const options = {
      width,
      height: CURVE_PIXELS - 2,
      padding: [0, 0, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false, setScale: false } },
      axes: [{ show: false }, { show: false }],
      scales: {
        x: { time: false, range: () => [0, clip.seconds] },
        y: { range: () => (values.length ? [low - space, high + space] : [0, 1]) },
      },
      series: [
        {},
        ...curve.series.map((series, number) => ({
          stroke: SADGR.colour(`--series-${(number % 6) + 1}`),
          width: 1.5,
          dash: number < 6 ? undefined : [6, 3],
          points: { show: series.seconds.length <= 400, size: 5 },
        })),
      ],
      hooks: {
        setCursor: [
          (plot) => {
            const at = plot.cursor.idx;
            if (at === null || at === undefined) return rest(extent);
            const here = data.slice(1).map((column) => (column[at] === undefined ? "" : SADGR.format(column[at])));
            return rest(`${extent}; at ${data[0][at].toFixed(3)} s: ${here.filter((text) => text !== "").join(" | ")}`);
          },
        ],
      },
    };
    return new uPlot(options, data, place);
  };

  const curves = [...document.querySelectorAll("[data-curve]")];
  let plots = [];
  const drawCurves = () => {
    for (const plot of plots) plot.destroy();
    plots = curves.map((place) => drawCurve(clip.curves[Number(place.dataset.curve)], place));
  };

  // ---- Size

  const layout = () => {
    const natural = Math.max(view.clientWidth, clip.seconds * PIXELS_A_SECOND);
    width = Math.max(view.clientWidth, Math.min(MOST_PIXELS, natural * zoom));
    tracks.style.width = `${width}px`;
    placed();
    ruled();
    drawWave();
    drawCurves();
    show(now);
  };
  const zoomed = (factor) => {
    zoom = Math.min(Math.max(zoom * factor, 1 / 64), 64);
    layout();
    intoView();
  };
  document.getElementById("wider").addEventListener("click", () => zoomed(2));
  document.getElementById("narrower").addEventListener("click", () => zoomed(0.5));
  addEventListener("resize", layout);
  SADGR.onTheme(layout);
  layout();
})();
