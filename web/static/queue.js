// What waits for a session, under its conversation: each prompt can be put first, edited and dropped. One that the agent is being given
// stands there until it is in the conversation.

import {act, el, form, shown, toast} from "./dom.js";
import {call} from "./net.js";

export class Queue {
  constructor(path) {
    this.path = `${path}/queue`;
    this.place = el("section.queue", {hidden: true, "aria-label": "Queue"});
    this.row = null;
    this.was = "";
  }

  // `row` is the session as it is now, or undefined.
  draw(row) {
    this.row = row;
    this.refresh();
  }

  async refresh() {
    const {row} = this;
    const asked = (this.asked = {}); // an older answer that comes later is not shown
    const given = row?.state === "running" && !row.doing; // no turn has begun
    const found = row?.queued || given ? await call("GET", this.path).catch((error) => error) : [];
    if (asked !== this.asked) return;
    if (found instanceof Error) return toast(found.message, true);
    const was = JSON.stringify([found, row?.held]);
    if (was === this.was) return;
    this.was = was;
    const waiting = found.filter(({state}) => state === "queued");
    this.place.hidden = !found.length && !row?.held;
    this.place.replaceChildren(
      el("h2", {}, found.length && !waiting.length ? "Sending" : `${waiting.length} waiting`, row?.held ? ` · held: ${shown(row.held)}` : ""),
      el("ol", {}, ...found.map((one) => this.prompt(one, one === waiting[0]))));
  }

  prompt(one, first) {
    const sending = one.state === "sending";
    const move = (to, text) => el(to === "drop" ? "button.danger" : "button", {onclick: (event) =>
      act(event.target, () => call("POST", `${this.path}/${one.n}`, {move: to}))}, text);
    return el("li", {},
      el("time.quiet", {dateTime: one.when}, one.when.slice(11, 16)),
      el("span.words", {title: shown(one.words)}, shown(one.words)),
      one.origin === "mail" ? el("span.kind", {}, "mail") : null,
      sending ? el("span.kind", {}, "sending") : null,
      first || sending ? null : move("first", "First"),
      one.origin === "mail" || sending ? null : el("button", {onclick: (event) => this.edit(event.target, one)}, "Edit…"),
      sending ? null : move("drop", "Drop"));
  }

  edit(button, one) {
    act(button, async () => {
      const {text} = await call("GET", `${this.path}/${one.n}`);
      form("Prompt in the queue", [{name: "text", label: "", value: text, rows: 8, required: true}], "Save",
        (values) => call("PUT", `${this.path}/${one.n}`, values));
    });
  }
}
