// The table of sessions. Rows are changed in place, so that focus and selection stay.

import {el, form, shown} from "./dom.js";
import {call} from "./net.js";

export function notes(row) {
  const found = [];
  if (row.ask) found.push(["asks", "loud"]);
  if (row.sandbox_tier === "none") found.push(["NO SANDBOX", "loud"]);
  if (row.sandbox_tier === "weak") found.push(["weak sandbox", "loud"]);
  if (row.held) found.push(["held", ""]);
  if (row.error) found.push([shown(row.error).slice(0, 80), "loud"]);
  if (row.unread) found.push([`${row.unread} mail`, ""]);
  if (row.queued) found.push([`${row.queued} queued`, ""]);
  return found.map(([text, kind]) => el(`span.note${kind ? "." + kind : ""}`, {}, text));
}

export function state(row) {
  return el("span.state", {"data-state": row.state}, row.state);
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
    for (const row of [...this.rows.values()].sort((a, b) => a.created - b.created)) {
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
      el("td.name", {}, name), el("td", {}, state(row)), el("td.notes", {}, ...notes(row)),
      el("td.backend", {}, shown(row.backend)), el("td.cwd", {}, el("code", {}, shown(row.cwd))),
    ];
  }

  async start() {
    let backends = [];
    try {
      backends = await call("GET", "/api/backends");
    } catch { /* the form says it when it is sent */ }
    const last = [...this.rows.values()].at(-1);
    form("Start a session", [
      {name: "backend", label: "Backend", value: backends.find((one) => one.status === "ok")?.name, options: backends.map((one) =>
        ({value: one.name, disabled: one.status !== "ok", label: one.status === "ok" ? one.title : `${one.title}: ${one.status}`}))},
      {name: "cwd", label: "Directory", value: last?.cwd ?? "", required: true},
      {name: "alias", label: "Alias"},
      {name: "role", label: "Role"},
      {name: "tasks", label: "Tasks"},
    ], "Start", async (values) => {
      const made = await call("POST", "/api/sessions", values);
      location.hash = `#session/${made.id}`;
    });
  }
}
