// The task graph: what is ready, what is not, and what can be done with a bead.

import {act, el, form, shown, toast} from "./dom.js";
import {call} from "./net.js";

const ACTIONS = {
  open: [["claim", "Claim"], ["complete", "Complete"]],
  in_progress: [["complete", "Complete"], ["unclaim", "Release"]],
  blocked: [["reopen", "Reopen"]],
  closed: [["reopen", "Reopen"]],
};

export class Beads {
  constructor(place) {
    this.place = place;
    this.all = false;
  }

  async refresh() {
    if (document.body.dataset.view !== "beads") return;
    try {
      const [found, ready] = await Promise.all([call("GET", "/api/beads"), call("GET", "/api/beads/ready")]);
      this.draw(found, new Set(ready.map((one) => one.id)));
    } catch (error) {
      toast(error.message, true);
    }
  }

  draw(found, ready) {
    const kept = found.filter((one) => this.all || one.status !== "closed");
    const place = (one) => (ready.has(one.id) ? 0 : one.status === "in_progress" ? 1 : one.status === "closed" ? 3 : 2);
    kept.sort((a, b) => place(a) - place(b) || (a.priority ?? 2) - (b.priority ?? 2));
    this.place.replaceChildren(
      el("div.bar", {}, el("h1", {}, "Beads"), el("button.primary", {onclick: () => this.make()}, "New…"),
        el("button", {"aria-pressed": String(this.all), onclick: () => {
          this.all = !this.all;
          this.refresh();
        }}, "Closed too")),
      kept.length ? el("ul.beads", {}, ...kept.map((one) => this.bead(one, ready.has(one.id)))) : el("p.quiet", {}, "No beads."));
  }

  bead(one, ready) {
    const path = `/api/beads/${encodeURIComponent(one.id)}`;
    const buttons = (ACTIONS[one.status] ?? []).map(([action, text]) => el("button", {onclick: (event) =>
      act(event.target, () => call("POST", `${path}/action`, {action})).then(() => this.refresh())}, text));
    if (one.status === "in_progress" || one.status === "open")
      buttons.push(el("button", {onclick: () => form(`Failed: ${one.title}`, [{name: "reason", label: "Why", required: true}], "Fail",
        (values) => call("POST", `${path}/fail`, values).then(() => this.refresh()))}, "Fail…"));
    return el("li", {},
      el("div", {}, el("code", {}, one.id), " ", el("b", {}, shown(one.title)), " ",
        el("span.state", {"data-state": ready ? "ready" : one.status}, ready ? "ready" : one.status),
        one.assignee ? ` ${shown(one.assignee)}` : ""),
      one.description ? el("pre.quiet", {}, shown(one.description)) : null,
      el("div.bar", {}, ...buttons));
  }

  make() {
    form("New bead", [{name: "title", label: "Title", required: true}, {name: "description", label: "Description", rows: 5}], "Make",
      (values) => call("POST", "/api/beads", values).then(() => this.refresh()));
  }
}
