// One session: its conversation as it goes on, a prompt under it, what it asks, and what can be done with it.

import {Changes} from "./changes.js";
import {act, el, fill, form, inPlace, shown, toast} from "./dom.js";
import {draft, keepDraft} from "./kept.js";
import {call} from "./net.js";
import {Mail} from "./mail.js";
import {pour} from "./pace.js";
import {Queue} from "./queue.js";
import {doing, itself, notes, state} from "./sessions.js";
import {Talk, diff} from "./talk.js";

export class Session {
  // `known()`: whether `rows` are all there are.
  constructor(place, rows, known) {
    Object.assign(this, {place, rows, known, id: null});
  }

  get row() {
    return this.rows.get(this.id);
  }

  get path() {
    return `/api/sessions/${encodeURIComponent(this.id)}`;
  }

  show(id) {
    if (id === this.id) return;
    this.id = id;
    this.was = "";
    this.seen = 0;
    this.mail = this.changes = null;
    this.open = "";
    this.why = "";
    this.talk?.clear();
    if (id === null) return this.place.replaceChildren();
    this.head = el("div.head");
    this.talk = new Talk(el("div.talk", {tabIndex: 0, role: "log", "aria-label": "Conversation"}));
    this.question = el("div.ask", {hidden: true, role: "alert"});
    this.input = el("textarea", {rows: 3, placeholder: "Prompt", "aria-label": "Prompt", value: draft(id),
      oninput: () => keepDraft(id, this.input.value), onkeydown: (event) => this.key(event)});
    this.send = el("button.primary", {onclick: () => this.prompt()}, "Send");
    this.foot = el("div.prompt", {}, this.input, this.send);
    this.panel = el("div.panel", {hidden: true});
    this.queue = new Queue(this.path);
    this.place.replaceChildren(this.head, this.panel, this.talk.place, this.queue.place, this.question, this.foot);
    if (matchMedia("(pointer: fine)").matches) this.input.focus();
    this.draw();
  }

  // -- what happens

  reset() {
    this.talk?.clear();
  }

  add(objects) {
    if (this.id !== null) this.talk.add(objects);
  }

  // Turn `n` is the first that is told: those before it come on demand.
  first({turn}) {
    if (this.id === null || turn <= 1) return;
    let n = turn;
    const button = el("button.older", {onclick: () => act(button, async () => {
      for (let left = 5; left && --n > 0; left--) {
        const objects = await call("GET", `${this.path}/turns/${n}`).catch(() => []);
        await this.talk.add(objects, button.nextSibling);
      }
      if (n <= 1) button.remove();
    })}, "Earlier turns");
    this.talk.place.prepend(button);
  }

  ended(why) {
    if (this.why !== why && this.row) toast(why, true);
    this.why = why;
  }

  key(event) {
    const fine = matchMedia("(pointer: fine)").matches; // on a phone Enter is a new line
    if (event.key === "Enter" && !event.isComposing && (event.ctrlKey || event.metaKey || (fine && !event.shiftKey))) {
      event.preventDefault();
      this.prompt();
    }
  }

  async prompt() {
    const {id, input} = this;
    const text = input.value;
    if (!text.trim() || this.send.disabled) return;
    if (await act(this.send, () => call("POST", `${this.path}/prompt`, {text}))) {
      if (input.value === text) input.value = "";
      keepDraft(id, input.value);
      this.talk.toEnd();
    }
  }

  // -- its head, and what it asks

  draw() {
    if (this.id === null) return;
    const {row} = this;
    const gone = !row && this.known(), was = JSON.stringify(row ?? gone);
    if (was === this.was) return;
    this.was = was;
    inPlace(this.head, row ? this.heading(row) : [el("div.bar", {}, this.back(), el("h1", {}, shown(this.id))), gone ? this.missing() : ""]);
    this.foot.hidden = gone && !this.input.value.trim();
    if (gone !== this.input.readOnly) this.input.readOnly = this.send.disabled = gone;
    this.ask(row?.asks ?? []);
    this.see(row);
    this.queue.draw(row);
  }

  // Events came: what waits is told by no row alone, since an edit or another order changes none.
  happened(found) {
    if (this.row && found.some((event) => event.session_id === this.id && event.changes?.includes("sessions")))
      this.queue.refresh();
    if (found.some((event) => event.session_id === this.id && "plus" in event)) this.changes?.refresh();
  }

  // Who has the conversation before him looks at its last answer.
  async see(row) {
    if (!row || document.hidden || !(row.answered > Math.max(row.seen, this.seen))) return;
    this.seen = row.answered;
    await act(null, () => call("PUT", `${this.path}/seen`, {prompt: String(row.answered)}));
  }

  missing() {
    return el("p", {role: "alert"}, `There is no session ${shown(this.id)} (any more).`,
      this.input.value.trim() ? " What you typed for it was not sent; it is kept below." : "");
  }

  back() {
    return el("a.back", {href: "#sessions", "aria-label": "Back to the list"}, "‹");
  }

  heading(row) {
    const control = (command, text) => el("button", {onclick: (event) =>
      act(event.target, () => call("POST", `${this.path}/control`, {command}))}, text);
    const live = ["starting", "idle", "running"].includes(row.state);
    return [
      el("div.bar", {}, this.back(), el("h1", {}, shown(row.alias || row.id)), state(row),
        doing(row), ...notes(row)),
      el("div.bar.tools", {},
        live ? control("stop", "Stop") : null,
        row.state === "running" ? control("interrupt", "Interrupt") : null,
        control("restart", "Restart"),
        live ? el("button", {onclick: () => this.keys(row)}, "Keys…") : null,
        row.held ? control("go", "Go on") : control("hold", "Hold"),
        el("button.danger", {onclick: () => this.kill(row)}, "Kill…"),
        el("button", {onclick: () => this.rename(row)}, "Alias…"),
        el("button", {onclick: () => this.context(row)}, row.context ? "Context…*" : "Context…"),
        this.panelled("changes", "Changes"),
        this.panelled("mail", "Mail"),
        el("button", {onclick: (event) => this.sandbox(event.target)}, "Sandbox")),
      el("p.quiet", {}, el("code", {}, row.id), ` ${row.backend} · `, el("code", {}, shown(row.cwd)), itself(row),
        row.branch ? " · branch " : "", row.branch ? el("code", {}, shown(row.branch)) : "",
        row.role ? ` · role ${row.role}` : "", row.parent ? ` · by ${this.rows.get(row.parent)?.alias || row.parent}` : ""),
    ];
  }

  // All open questions. A block that is there already stays, with what is being typed as an answer.
  ask(asks) {
    this.question.hidden = !asks.length;
    const blocks = new Map([...this.question.children].map((one) => [one.dataset.ask, one]));
    this.question.replaceChildren(...asks.map((ask) => {
      const key = JSON.stringify(ask);
      return blocks.get(key) ?? this.block(ask, key);
    }));
  }

  block(ask, key) {
    const answer = (button, choice) => act(button, () => call("POST", `${this.path}/answer`, {choice, ask: ask.id}));
    const several = (ask.questions ?? []).length > 1;
    const own = el(several ? "textarea" : "input", {placeholder: several ? "A line for each" : "Your own words",
      "aria-label": "Your own words", autocomplete: "off"});
    const text = el("pre"), more = el(ask.diff ? "pre.diff" : "pre.quiet");
    pour(fill(text, ask.text ?? ""));
    if (ask.diff) pour(diff(more, ask.diff));
    else if (ask.detail) pour(fill(more, typeof ask.detail === "string" ? ask.detail : JSON.stringify(ask.detail, null, 1)));
    const made = el("div", {},
      el("div.quiet", {}, `question ${ask.id}`),
      text, ask.diff || ask.detail ? more : "",
      el("div.bar", {}, ...ask.choices.map((one) => el("button", {onclick: (event) => answer(event.target, one)}, shown(one))),
        ask.free || !ask.choices.length ? el("form.own", {onsubmit: (event) => {
          event.preventDefault();
          if (own.value.trim()) answer(null, own.value);
        }}, own, el("button", {}, "Answer")) : ""));
    made.dataset.ask = key;
    return made;
  }

  // -- what can be done

  kill(row) {
    form(`Kill ${row.alias || row.id}? It and its conversation go for good.`, [], "Kill", async () => {
      await call("POST", `${this.path}/control`, {command: "kill"});
      location.hash = "#sessions";
    });
  }

  keys(row) {
    form(`Keys for the pane of ${row.alias || row.id}`, [{name: "keys", label: "Names, as in Down Enter"}], "Press",
      (values) => call("POST", `${this.path}/keys`, values));
  }

  rename(row) {
    form("Alias", [{name: "alias", label: "Letters, digits, _ and -; empty takes it away", value: row.alias}], "Save",
      (values) => call("PUT", `${this.path}/alias`, values));
  }

  context(row) {
    form("Context, put before each prompt", [{name: "context", label: "", value: row.context, rows: 12}], "Save",
      (values) => call("PUT", `${this.path}/context`, values));
  }

  sandbox(button) {
    act(button, async () => {
      const {policy} = await call("GET", `${this.path}/sandbox`);
      const dialog = el("dialog.wide", {}, el("h2", {}, "Sandbox"), el("pre", {tabIndex: 0}, shown(policy)),
        el("div.bar", {}, el("button", {onclick: () => dialog.close()}, "Close")));
      dialog.addEventListener("close", () => dialog.remove());
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  // A button for one of the two that are shown above the conversation, one at a time.
  panelled(name, text) {
    return el("button", {ariaPressed: String(this.open === name), onclick: () => this.toggle(name)}, text);
  }

  toggle(name) {
    this.open = this.open === name ? "" : name;
    this.panel.hidden = !this.open;
    this.panel.className = `panel ${this.open}`;
    this.panel.replaceChildren();
    this.changes = this.open === "changes" ? new Changes(this.panel, this.path) : null;
    this.mail = this.open === "mail" ? new Mail(this.panel, (id) => this.rows.get(id)?.alias || id, "h2") : null;
    this.mail?.show(this.id);
    this.was = "";
    this.draw();
  }

  mailChanged() {
    this.mail?.refresh();
  }
}
