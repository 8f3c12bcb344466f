// The way to the server: requests, and the one stream of what happens.

import {keep, kept} from "./kept.js";
import {breath} from "./pace.js";
import {inTurn} from "./turn.js";

const PLACE = "anvil-key";
const WHOLE = ["follows", "ended", "away"]; // with these a page that shows a conversation has been told what there is
let key = "";

// Keep the key that came with the link, and take the token out of the address. Why the page cannot be used; empty if it can.
export function enter() {
  const given = document.querySelector('meta[name="anvil-key"]').content;
  const lasts = keep(PLACE, given || kept(PLACE));
  if (location.search) history.replaceState(null, "", "/" + location.hash);
  key = kept(PLACE);
  if (!navigator.cookieEnabled) return "This browser takes no cookie from this page: allow cookies for its address.";
  if (key) return "";
  return "Open the link that anvilweb printed when it started: it carries the key of this page."
    + (lasts ? "" : " This browser keeps nothing for this page, so every reload needs the link.");
}

export async function call(method, path, body) {
  const headers = {"X-Anvil-Key": key};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {method, headers, body: body === undefined ? undefined : JSON.stringify(body)});
  } catch {
    throw new Error("anvilweb does not answer");
  }
  if (response.status === 204) return null;
  const found = await response.json().catch(() => ({error: `status ${response.status}`}));
  if (!response.ok) throw new Error(found.error);
  return found;
}

// One stream for the page. While the page is hidden it has none; when it is shown again, and after an interruption, it goes on after
// the last of the conversation that it has. `tell(event, data)` also gets "open" {resumed}, "lost" and "refused".
export class Stream {
  constructor(tell) {
    this.tell = tell;
    this.session = null;
    this.after = null; // the number of the last object of the session's activity
    this.abort = null;
    this.pause = 250;
    document.addEventListener("visibilitychange", () => this.begin());
  }

  open(session) {
    this.session = session;
    this.after = null;
    this.begin();
  }

  begin() {
    this.abort?.abort();
    this.abort = new AbortController();
    if (!document.hidden) this.run(this.abort.signal);
  }

  async run(signal) {
    while (!signal.aborted) {
      try {
        if (await inTurn(signal, (turn, told) => this.follow(turn, told)) === "refused") return this.tell("refused", {});
      } catch (error) {
        if (signal.aborted) return;
        if (error.name === "AbortError") continue; // it is another page's turn
      }
      this.tell("lost", {});
      await new Promise((done) => setTimeout(done, this.pause));
      this.pause = Math.min(2 * this.pause, 5000);
    }
  }

  // Tell what comes until the stream ends or fails.
  async follow(signal, told) {
    const resumed = this.after !== null;
    const query = this.session ? `?as=turns&session=${encodeURIComponent(this.session)}${resumed ? `&after=${this.after}` : ""}` : "";
    const response = await fetch(`/api/stream${query}`, {headers: {"X-Anvil-Key": key}, signal});
    if (response.status === 401) return "refused";
    if (!response.ok) throw new Error(`status ${response.status}`);
    this.pause = 250;
    this.tell("open", {resumed});
    await this.read(response.body.getReader(), signal, told);
  }

  async read(reader, signal, told) {
    const decoder = new TextDecoder();
    for (let rest = []; ;) { // pieces of what has no end yet
      const {value, done} = await reader.read();
      signal.throwIfAborted();
      if (done) return;
      const came = decoder.decode(value, {stream: true});
      if (!came.includes("\n")) {
        rest.push(came);
        continue;
      }
      const parts = (rest.join("") + came).split("\n\n");
      rest = [parts.pop()];
      for (const part of parts) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
        if (event) this.hear(event, JSON.parse(data));
        if (!this.session || WHOLE.includes(event)) told();
        await breath();
        signal.throwIfAborted();
      }
    }
  }

  hear(event, data) {
    if (event === "activity") this.after = Math.max(this.after ?? 0, ...data.slice(-1).map((one) => one.seq));
    this.tell(event, data);
  }
}
