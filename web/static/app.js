// The page: which view is shown, and what the stream tells goes to whom.

import {copied, el, shown, toast} from "./dom.js";
import {Stream, enter} from "./net.js";
import {Mail} from "./mail.js";
import {Beads} from "./beads.js";
import {Sessions} from "./sessions.js";
import {Session} from "./session.js";

const byId = (id) => document.getElementById(id);
const rows = new Map(); // session id -> its row, oldest first
const label = (id) => rows.get(id)?.alias || id;

let fresh = true; // the next "sessions" tells all
let known = false; // all were told once
let current = {view: "", arg: ""};

const stream = new Stream((event, data) => hear[event]?.(data));
const sessions = new Sessions(rows);
const session = new Session(byId("session"), rows, () => known);
const mail = new Mail(byId("mail"), label);
const beads = new Beads(byId("beads"));

const hear = {
  open({resumed}) {
    fresh = true;
    if (!resumed) session.reset();
  },
  sessions(data) {
    if (fresh) rows.clear();
    for (const id of data.gone) rows.delete(id);
    for (const row of data.rows) rows.set(row.id, row);
    if (fresh) renew();
    fresh = false;
    known = true;
    say("live");
    draw();
  },
  events(found) {
    for (const event of found) {
      if (event.type === "error") toast(`${label(event.session_id ?? "") || "anvilsrv"}: ${event.error}`, true);
      if (event.type === "message" && event.to === "user")
        toast(`Mail from ${label(event.from)}: ${event.subject || event.kind}`);
    }
    session.happened(found);
    const changed = new Set(found.flatMap((event) => event.changes ?? []));
    if (changed.has("mail")) mail.refresh(), session.mailChanged();
    if (changed.has("beads")) beads.refresh();
  },
  first: (data) => session.first(data),
  activity: (found) => session.add(found),
  ended: (data) => session.ended(data.why),
  away(data) {
    say("away", `The daemon is away (${data.why}). anvilsrv start brings it back; this page continues automatically.`);
  },
  lost: () => say("lost", "anvilweb does not answer; trying again."),
  refused: () => say("lost", "This page's link is out of date: open the one that anvilweb printed when it started."),
};

function say(state, why = "") {
  byId("link").textContent = state;
  byId("link").className = state;
  byId("trouble").textContent = shown(why);
  byId("trouble").hidden = !why;
}

function draw() {
  const aliased = current.view === "session" && !rows.has(current.arg) && [...rows.values()].find(({alias}) => alias === current.arg);
  if (aliased) return location.replace(`#session/${aliased.id}`);
  sessions.draw(current.view === "session" ? current.arg : "");
  session.draw();
  const asks = [...rows.values()].filter((row) => row.ask).length;
  byId("asking").textContent = asks ? `${asks} ask` : "";
  byId("asking").hidden = !asks;
  const needs = [...rows.values()].filter((row) => row.needs).length;
  document.title = needs ? `(${needs}) AnviLLM` : "AnviLLM";
}

function renew() {
  mail.refresh();
  if (current.view === "beads") beads.refresh();
}

// A hash that is not well formed names nothing.
function decoded(hash) {
  try {
    return decodeURIComponent(hash);
  } catch {
    return "";
  }
}

function route() {
  const [view, arg = ""] = decoded(location.hash.slice(1)).split("/");
  const there = ["session", "mail", "beads"].includes(view) && (arg || view !== "session") ? view : "sessions";
  const before = current;
  current = {view: there, arg};
  document.body.dataset.view = there;
  for (const link of document.querySelectorAll("nav a"))
    link.toggleAttribute("aria-current", link.dataset.view === (there === "session" ? "sessions" : there));
  session.show(there === "session" ? arg : null);
  if (there === "mail") mail.show(arg || "user");
  if (there === "beads") beads.refresh();
  const watched = there === "session" ? arg : null;
  if (!before.view || watched !== (before.view === "session" ? before.arg : null)) stream.open(watched);
  draw();
}

const why = enter();
if (!why) {
  addEventListener("hashchange", route);
  document.addEventListener("copy", copied);
  byId("start").addEventListener("click", () => sessions.start());
  route();
} else {
  say("lost", why);
}
