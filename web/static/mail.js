// A mailbox, the user's or a session's: messages newest first, the text of one, reply and archive.

import {act, clock, el, form, shown, toast, write} from "./dom.js";
import {call} from "./net.js";
import {pour} from "./pace.js";

export class Mail {
  constructor(place, label, heading = "h1") {
    this.place = place;
    this.heading = heading;
    this.label = label;
    this.owner = "user";
    this.box = "inbox";
    this.open = new Set(); // ids whose text is shown
  }

  show(owner) {
    this.owner = owner;
    this.refresh();
  }

  async refresh() {
    const {owner, box} = this;
    const found = await call("GET", `/api/mail/${encodeURIComponent(owner)}/${box}`).catch((error) => error);
    if (owner !== this.owner || box !== this.box) return;
    if (found instanceof Error) {
      if (document.body.dataset.view === "mail") toast(found.message, true);
      return;
    }
    if (owner === "user" && box === "inbox") {
      const badge = document.getElementById("unread");
      badge.textContent = found.length || "";
      badge.hidden = !found.length;
    }
    this.draw(found);
  }

  draw(found) {
    const tab = (box, text) => el("button", {"aria-pressed": String(this.box === box), onclick: () => {
      this.box = box;
      this.refresh();
    }}, text);
    const who = this.owner === "user" ? "Your mail" : `Mail of ${this.label(this.owner)}`;
    this.place.replaceChildren(
      el("div.bar", {}, el(this.heading, {}, shown(who)), tab("inbox", "Inbox"), tab("archive", "Archive")),
      found.length ? el("ul.mail", {}, ...found.toReversed().map((one) => this.message(one))) : el("p.quiet", {}, "No messages."));
  }

  message(one) {
    const body = el("pre");
    const details = el("details", {open: this.open.has(one.id), ontoggle: () => {
      this.open[details.open ? "add" : "delete"](one.id);
      if (details.open && !body.firstChild) pour(write(body, one.body));
    }},
    el("summary", {}, el("time", {}, clock(one.timestamp)), " ", el("b", {}, shown(this.label(one.from))), " ",
      el("span.kind", {}, one.type), " ", shown(one.subject)),
    body,
    el("div.bar", {},
      one.from !== "user" ? el("button", {onclick: () => this.reply(one)}, "Reply…") : null,
      this.box === "inbox" ? el("button", {onclick: (event) => this.archive(event.target, one)}, "Archive") : null));
    return el("li", {}, details);
  }

  async archive(button, one) {
    if (await act(button, () => call("POST", `/api/mail/${this.owner}/complete`, {message: one.id}))) this.refresh();
  }

  reply(one) {
    form(`Reply to ${this.label(one.from)}`, [{name: "body", label: shown(one.subject), rows: 8, required: true}], "Send",
      async (values) => {
        await call("POST", `/api/mail/${encodeURIComponent(this.owner)}/reply`, {message: one.id, body: values.body});
        toast("Sent");
        this.refresh();
      });
  }
}
