// The table of clips: Tabulator draws the rows that are in sight; order and search work on numbers made beforehand, so
// that tens of thousands of clips answer at once.
"use strict";

(() => {
  const { ids, links, columns } = SADGR.data.clips;
  const WIDTHS = { id: 220, number: 120, text: 180, "label.text": 420, "cache.troubles": 320 };
  // Characters of a value that a cell holds (it shows fewer), and that the pointer brings up.
  const IN_CELL = 120;
  const IN_TITLE = 500;
  const FEW = 15; // rows that a window has room for
  const collator = new Intl.Collator("en", { numeric: true });

  const unknown = (value) => value === null || value === "";
  const folded = (text) => text.normalize("NFKC").toLowerCase();

  /** Rows in ascending order of their values, equal ones as they stand; those of which nothing is known come last. */
  const ordered = (values, kind) => {
    const distinct = [...new Set(values)].filter((value) => !unknown(value));
    distinct.sort(kind === "number" ? (a, b) => a - b : collator.compare);
    const rank = new Map(distinct.map((value, place) => [value, place]));
    const ranks = Int32Array.from(values, (value) => rank.get(value) ?? distinct.length);
    // A counting sort: where each rank begins, then every row to its place.
    const begins = new Int32Array(distinct.length + 2);
    for (const one of ranks) begins[one + 1] += 1;
    for (let one = 1; one < begins.length; one++) begins[one] += begins[one - 1];
    const order = new Int32Array(values.length);
    const known = begins[distinct.length];
    ranks.forEach((one, row) => {
      order[begins[one]++] = row;
    });
    return { order, known };
  };

  const texts = [ids, ...columns.filter((column) => column.kind === "text").map((column) => column.values)];
  const haystacks = ids.map((_, row) => folded(texts.map((values) => values[row] ?? "").join("\n")));

  const fits = new Uint8Array(ids.length).fill(1);
  const orders = new Map([["id", ordered(ids, "text")]]);
  columns.forEach((column, place) => orders.set(`c${place}`, ordered(column.values, column.kind)));
  const sorted = { field: null, descending: false };

  /** Row numbers as they are to be shown: in the order asked for, without those that do not fit the search. */
  const visible = () => {
    const shownRows = [];
    const put = (row) => {
      if (fits[row]) shownRows.push(row);
    };
    if (sorted.field === null) {
      for (let row = 0; row < ids.length; row++) put(row);
      return shownRows;
    }
    const { order, known } = orders.get(sorted.field);
    if (sorted.descending) for (let place = known - 1; place >= 0; place--) put(order[place]);
    else for (let place = 0; place < known; place++) put(order[place]);
    for (let place = known; place < order.length; place++) put(order[place]);
    return shownRows;
  };

  const pipe = (tabulatorRows) => visible().map((row) => tabulatorRows[row]);

  /** A module of Tabulator's in place of its own search and sorting, which compare row by row. */
  class Ranked {
    static moduleName = "ranked";

    constructor(owner) {
      this.owner = owner;
    }

    initialize() {
      this.owner.rowManager.registerDataPipelineHandler(pipe, 30);
    }
  }
  Tabulator.registerModule(Ranked);

  // Whole numbers have no decimals, where all of a column's are whole.
  const decimals = new Map(
    columns.map((column) => [column, column.values.every((value) => value === null || Number.isInteger(value)) ? 0 : column.digits]),
  );
  const inFigures = (value, digits) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  const shown = (column, value) => {
    if (unknown(value)) return "";
    return column.kind === "number" ? inFigures(value, decimals.get(column)) : value;
  };

  const idCell = (cell) => {
    const { row } = cell.getData();
    const name = SADGR.element("bdi", { text: ids[row].slice(0, IN_CELL) });
    const attributes = { class: "id", title: ids[row].slice(0, IN_TITLE) };
    return links[row] === null
      ? SADGR.element("span", { ...attributes, tabindex: "-1" }, [name])
      : SADGR.element("a", { ...attributes, href: links[row] }, [name]);
  };

  const valueCell = (column) => (cell) => {
    const text = shown(column, column.values[cell.getData().row]);
    return SADGR.element("bdi", { text: text.slice(0, IN_CELL), title: text.length > 20 ? text.slice(0, IN_TITLE) : null });
  };

  const sortBy = (field, startsDescending) => {
    sorted.descending = sorted.field === field ? !sorted.descending : startsDescending;
    sorted.field = field;
    current = 0;
    table.rowManager.refreshActiveData(pipe);
    for (const column of table.getColumns()) {
      const direction = sorted.descending ? "descending" : "ascending";
      column.getElement().setAttribute("aria-sort", column.getField() === field ? direction : "none");
    }
  };

  const heading = (kind) => (cell) => {
    const button = SADGR.element("button", { type: "button", text: cell.getValue() });
    button.addEventListener("click", () => sortBy(cell.getColumn().getField(), kind === "number"));
    return button;
  };

  const table = new Tabulator("#table", {
    data: ids.map((_, row) => ({ row })),
    columns: [
      { title: "clip", field: "id", width: WIDTHS.id, frozen: true, formatter: idCell, titleFormatter: heading("text") },
      ...columns.map((column, place) => ({
        title: column.title,
        field: `c${place}`,
        width: WIDTHS[column.key] ?? WIDTHS[column.kind],
        hozAlign: column.kind === "number" ? "right" : "left",
        formatter: valueCell(column),
        titleFormatter: heading(column.kind),
      })),
    ],
    columnDefaults: { headerSort: false, resizable: "header" },
    index: "row",
    [ids.length > FEW ? "height" : "maxHeight"]: "70vh",
    rowHeight: 34,
    renderVerticalBuffer: 170,
    layout: "fitData",
    placeholder: "No clip fits.",
  });

  const field = document.getElementById("search");
  const found = document.getElementById("found");
  let current = 0;

  const say = (count) => {
    found.textContent = `${count.toLocaleString("en")} of ${ids.length.toLocaleString("en")} clips`;
  };

  const search = () => {
    const terms = folded(field.value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (let row = 0; row < haystacks.length; row++) {
      fits[row] = terms.every((term) => haystacks[row].includes(term)) ? 1 : 0;
      count += fits[row];
    }
    current = 0;
    table.rowManager.refreshActiveData(pipe);
    say(count);
  };

  /** Moves to the row so many below the current one. */
  const go = (step) => {
    const row = table.getRowFromPosition(Math.max(1, current + step));
    if (!row) return;
    current = Math.max(1, current + step);
    table.scrollToRow(row, "nearest", false).then(() => row.getElement().querySelector(".id")?.focus());
  };

  table.on("tableBuilt", () => {
    say(ids.length);
    field.addEventListener("input", search);
    if (field.value) search(); // the browser kept it over a reload
    if (location.hash === "#search") field.focus();
    document.getElementById("table").dataset.ready = "";
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.getElementById("main").focus();
    if (event.key === "Enter") go(1);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || SADGR.typing(event)) return;
    if (event.key === "j") go(1);
    if (event.key === "k") go(-1);
  });
})();
