// What all pages share: data handed over by scripts, colours, small helpers, and the keys.
"use strict";

const SADGR = (() => {
  const data = Object.create(null);

  /** Takes a value that a data script hands over, as JSON text. */
  const take = (name, json) => {
    data[name] = JSON.parse(json);
  };

  /** The value that a custom property of the style sheet, such as "--accent", has now. */
  const colour = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();

  /** Calls back when light turns dark, or dark light. */
  const onTheme = (callback) => matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);

  /** Makes an element; `text` becomes text whatever it holds, other attributes are set as they are. */
  const element = (tag, attributes = {}, children = []) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") made.textContent = value;
      else if (name === "class") made.className = value;
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  };

  /** A number for people; an empty text where there is none. */
  const format = (number, digits = 4) => {
    if (number === null || number === undefined || Number.isNaN(number)) return "";
    return Number.isInteger(number) ? number.toLocaleString("en") : Number(number.toPrecision(digits)).toString();
  };

  /** Whether a key goes into a field that text is typed into. */
  const typing = (event) =>
    event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]") !== null;

  const follow = (relation) => {
    const link = document.querySelector(`link[rel=${relation}]`);
    if (link) location.href = link.href;
  };

  const search = () => {
    const field = document.querySelector("[data-search]");
    if (field) field.focus();
    else location.href = `${document.body.dataset.root}clips.html#search`;
  };

  const play = (event) => {
    const button = document.querySelector("[data-play]");
    // Space on a control is that control's.
    if (!button || event.target.closest("a, button, summary, audio, video, [role=button]")) return;
    event.preventDefault();
    button.click();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event)) return;
    if (event.key === "j") follow("next");
    else if (event.key === "k") follow("prev");
    else if (event.key === "/") {
      event.preventDefault();
      search();
    } else if (event.key === " ") play(event);
  });

  document.addEventListener("submit", (event) => event.preventDefault());

  return { data, take, colour, onTheme, element, format, typing };
})();
