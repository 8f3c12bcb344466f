// The table of sessions. Rows are changed in place, so that focus and selection stay.

import {clock, el, form, shown} from "./dom.js";
import {call} from "./net.js";

// The daemon's word for a note -> its text, and what is behind it. Which there are, and in which order, the daemon says.
const NOTES = {
  ask: () => ["asks", ""],
  nosandbox: () => ["NO SANDBOX", ""],
  weak: (row) => ["weak sandbox", row.sandbox_gaps.join("; ")],
  held: (row) => ["held", row.held],
  error: (row) => [row.error.slice(0, 80), row.error],
  mail: (row) => [`${row.unread} mail`, ""],
  done: () => ["new answer", ""],
  queued: (row) => [`${row.queued} queued`, ""],
};
const LOUD = new Set(["ask", "nosandbox", "weak", "error"]);

export function notes(row) {
  return [...row.notes, ...(row.needs === "done" ? ["done"] : [])].map((word) => {
    const [text, title] = NOTES[word]?.(row) ?? [word, ""];
    return el(LOUD.has(word) ? "span.note.loud" : "span.note", {title: shown(title)}, shown(text));
  });
}

export function state(row) {
  return el("span.state", {"data-state": row.state}, row.state);
}

// What an agent tells of itself: its model and mode, and what is left of its context.
export function itself(row) {
  const named = [row.model, row.mode === "default" ? "" : row.mode].filter(Boolean).join(" ");
  const left = typeof row.context_left === "number" ? `${row.context_left}% context left` : "";
  return shown([named, left].filter(Boolean).map((words) => ` · ${words}`).join(""));
}

// Since when it does what in its turn, in one line; behind it the whole. That it asks is said beside it.
export function doing(row) {
  if (!row.doing || row.doing === row.state) return null;
  const words = shown([row.since && `since ${clock(row.since)}`, !row.ask && row.doing].filter(Boolean).join(" · "));
  return el("span.doing", {title: words}, words);
}

export class Sessions {
  constructor(rows) {
    this.rows = rows;
    this.shown = new Map(); // id -> {tr, was}
    this.body = document.getElementById("rows");
  }

  draw(selected) {
    for (const [id, {tr}] of this.shown) {
      if (!this.rows.has(id)) {
        tr.remove();
        this.shown.delete(id);
      }
    }
    for (const row of this.rows.values()) {
      const was = JSON.stringify(row);
      let known = this.shown.get(row.id);
      if (!known) this.shown.set(row.id, (known = {was: "",
        tr: el("tr", {"data-id": row.id, onclick: () => (location.hash = `#session/${row.id}`)})}));
      if (!known.tr.isConnected) this.body.append(known.tr);
      if (known.was !== was) known.tr.replaceChildren(...this.cells(row));
      known.was = was;
      known.tr.toggleAttribute("aria-selected", row.id === selected);
    }
    document.getElementById("none").hidden = this.rows.size > 0;
  }

  cells(row) {
    const name = el("a", {href: `#session/${row.id}`}, el("b", {}, shown(row.alias || row.id)), " ",
      row.alias ? el("code", {}, row.id) : "");
    return [
      el("td.name", {}, name), el("td", {}, state(row)), el("td.notes", {}, ...notes(row), doing(row)),
      el("td.backend", {}, shown(row.backend)), el("td.cwd", {}, el("code", {}, shown(row.cwd))),
    ];
  }

  // The form is there at once, for what is typed; the choices come into it. What cannot be asked for is said when it is sent.
  start() {
    const choices = (name, make) => call("GET", `/api/${name}`).then((found) => found.map(make), () => []);
    const named = (one) => ({value: one.name, label: one.name, title: one.label});
    const last = [...this.rows.values()].at(-1);
    form("Start a session", [
      {name: "backend", label: "Backend", options: choices("backends", (one) =>
        ({value: one.name, disabled: one.status !== "ok", label: one.status === "ok" ? one.title : `${one.title}: ${one.status}`}))
        .then((found) => found.sort((a, b) => a.disabled - b.disabled))},
      {name: "cwd", label: "Directory", value: last?.cwd ?? "", required: true},
      {name: "alias", label: "Alias"},
      {name: "role", label: "Role", options: choices("roles", named).then((found) => [{value: "", label: ""}, ...found])},
      {name: "tasks", label: "Tasks", several: choices("tasks", named)},
    ], "Start", async (values) => {
      const made = await call("POST", "/api/sessions", values);
      location.hash = `#session/${made.id}`;
    });
  }
}
