// The way to the server: requests, and the one stream of what happens.

const PLACE = "anvil-key";
let key = "";

// Keep the key that came with the link, and take the token out of the address. False if there is none.
export function enter() {
  const given = document.querySelector('meta[name="anvil-key"]').content;
  if (given) localStorage.setItem(PLACE, given);
  if (location.search) history.replaceState(null, "", "/" + location.hash);
  key = localStorage.getItem(PLACE) ?? "";
  return key !== "";
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

// One stream for the page: a browser allows few connections to one server. While the page is hidden it has none, and
// when it is shown again everything is told anew. `tell(event, data)` also gets "open", "lost" and "refused".
export class Stream {
  constructor(tell) {
    this.tell = tell;
    this.session = null;
    this.abort = null;
    this.pause = 250;
    document.addEventListener("visibilitychange", () => this.open(this.session));
  }

  open(session) {
    this.session = session;
    this.abort?.abort();
    this.abort = new AbortController();
    if (!document.hidden) this.run(this.abort.signal);
  }

  async run(signal) {
    while (!signal.aborted) {
      try {
        const query = this.session ? `?as=turns&session=${encodeURIComponent(this.session)}` : "";
        const response = await fetch(`/api/stream${query}`, {headers: {"X-Anvil-Key": key}, signal});
        if (response.status === 401) return this.tell("refused", {});
        if (!response.ok) throw new Error(`status ${response.status}`);
        this.pause = 250;
        this.tell("open", {});
        await this.read(response.body.getReader());
      } catch {
        if (signal.aborted) return;
      }
      this.tell("lost", {});
      await new Promise((done) => setTimeout(done, this.pause));
      this.pause = Math.min(2 * this.pause, 5000);
    }
  }

  async read(reader) {
    const decoder = new TextDecoder();
    for (let rest = ""; ;) {
      const {value, done} = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, {stream: true})).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
        if (event) this.tell(event, JSON.parse(data));
      }
    }
  }
}
