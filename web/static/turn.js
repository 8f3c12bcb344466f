// Pages of one browser share the few connections that it allows to one server, six in most: of the streams, which hold theirs, only
// some are open at once. A page that waits tells the one that has its place, which makes room when it has had its time.

const PLACES = [0, 1, 2, 3].map((n) => `anvil-stream-${n}`);
const TIME = 3000; // ms that a page keeps its place though another waits, once it has been told what there is
const LONGEST = 30000; // ms that it keeps it though it has not
let room; // where pages tell which place they wait for

// Call `follow(signal, told)` when there is a place; its signal also ends what it does when another page is to have it. It calls `told`
// when it has been told what there is: on a busy machine that may take longer than its time, and a turn that ends before it is none.
export async function inTurn(signal, follow) {
  const now = await navigator.locks?.query().catch(() => null);
  if (!now) return follow(signal, () => {}); // not a secure context, or it keeps nothing: every page for itself
  const busy = (name) => [...now.held, ...now.pending].filter((one) => one.name === name).length;
  const name = PLACES.reduce((a, b) => (busy(a) <= busy(b) ? a : b));
  room ??= new BroadcastChannel("anvil-stream");
  const wish = new Wish(name);
  try {
    const turn = navigator.locks.request(name, {signal}, () => hold(wish, signal, follow));
    room.postMessage(name); // now, not before: who has the place and has not heard this sees that we wait for it
    return await turn;
  } finally {
    wish.close();
  }
}

// Whether another page waits for a place. It is heard from before the place is ours: what is said while we are given it counts.
class Wish {
  constructor(name) {
    this.name = name;
    this.heard = false;
    this.told = () => {};
    this.hear = ({data}) => data === name && this.is();
    room.addEventListener("message", this.hear);
  }

  is() {
    this.heard = true;
    this.told();
  }

  close() {
    room.removeEventListener("message", this.hear);
  }
}

async function hold(wish, signal, follow) {
  const turn = new AbortController();
  const end = () => turn.abort();
  let timer, until = Date.now() + LONGEST;
  const limit = wish.told = () => {
    clearTimeout(timer);
    if (wish.heard) timer = setTimeout(end, Math.max(0, until - Date.now()));
  };
  const told = () => {
    if (until - Date.now() <= TIME) return;
    until = Date.now() + TIME;
    limit();
  };
  signal.addEventListener("abort", end);
  try {
    if (signal.aborted) end();
    if ((await navigator.locks.query()).pending.some((one) => one.name === wish.name)) wish.is();
    limit();
    return await follow(turn.signal, told);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}
