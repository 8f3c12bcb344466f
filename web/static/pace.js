// Long work, done in pieces: between two of them the browser answers the person and draws.

const PIECE = 8; // ms

// Resolves when all others have had a turn: scheduler.yield() would go before them.
export const breath = () => new Promise((done) => setTimeout(done));

// Run generators one after the other; what is short is done before `add` returns. `around(piece, job)` runs a piece, and may do
// something before and after it.
export class Pace {
  constructor(around = (piece) => piece()) {
    this.around = around;
    this.jobs = [];
    this.running = false;
  }

  // Resolves when all of `work` is done, or given up by clear().
  add(work, about = null) {
    return new Promise((done) => {
      this.jobs.push({work, about, done});
      if (!this.running) this.run();
    });
  }

  clear() {
    for (const job of this.jobs.splice(0)) job.done();
  }

  async run() {
    this.running = true;
    let until = performance.now() + PIECE;
    while (this.jobs.length) {
      if (performance.now() >= until) {
        await breath();
        until = performance.now() + PIECE;
      } else {
        this.piece(this.jobs[0], until);
      }
    }
    this.running = false;
  }

  piece(job, until) {
    let over = false;
    try {
      this.around(() => {
        while (!over && performance.now() < until) over = job.work.next().done;
      }, job.about);
    } catch (error) {
      over = true;
      reportError(error);
    }
    if (over && this.jobs[0] === job) this.jobs.shift().done();
  }
}

// One such work by itself.
export const pour = (work) => new Pace().add(work);
