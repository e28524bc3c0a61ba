// The jobs that this browser asked for: kept in its storage, and followed until they end.

import { Problem, call, quietly } from "./api.js";
import { underWay } from "./words.js";

export const MOST = 100; // as many as one batch has
const STORED = "urlshot.jobs";
const SLOTS = 4; // requests at once
const HELD = 10; // seconds that the endpoint holds one of them, unless the job ends
const GLANCE = 2; // seconds after which a glance tells what the job is at meanwhile
const PATIENCE = 30 * 60; // seconds for which a job is followed
const LONGEST_PAUSE = 30; // seconds between two looks
const KEPT = ["id", "url", "options", "asked", "hit", "state", "attempt", "requested_at", "finished_at", "stored_at", "bytes",
  "error", "verdict", "warnings", "title", "pages", "older", "file"];

const kept = (job) => Object.fromEntries(KEPT.map((name) => [name, job[name]]));

/** The list, newest first. `changed(job)` is told of every change, `refused(problem)` of a key that does not fit. */
export class Jobs {
  list = [];
  #changed;
  #refused;
  #busy = new Set();
  #timer = 0;
  #paused = false;

  constructor(changed, refused) {
    this.#changed = changed;
    this.#refused = refused;
    document.addEventListener("visibilitychange", () => this.follow());
    const found = quietly(() => JSON.parse(localStorage.getItem(STORED)));
    for (const job of Array.isArray(found) ? found.slice(0, MOST) : []) {
      const ours = /^([0-9a-f]{32}|[0-9a-f]{40})$/.test(job?.id) && typeof job.url === "string";
      if (ours && !this.get(job.id)) this.list.push(kept(job));
    }
  }

  get(id) {
    return this.list.find((job) => job.id === id);
  }

  keep(list) {
    this.list = list.slice(0, MOST);
    quietly(() => localStorage.setItem(STORED, JSON.stringify(this.list.map(kept))));
  }

  /** Takes up what a POST was answered with; the job comes to the top. */
  add(data, options) {
    const now = Date.now();
    const hit = data.state === "done";
    const job = { id: data.id, url: data.url, options, hit, unread: hit, asked: now, since: now };
    this.keep([job, ...this.list.filter((other) => other.id !== job.id)]);
    this.take(job, data);
    return job;
  }

  /** Takes up what is known of a job: a Job, a PDF that is there, or the problem that it ended with. */
  take(job, data) {
    const { state, attempt, requested_at, finished_at, stored_at, links = {} } = data;
    const report = data.older_pdf?.report ?? data.report;
    Object.assign(job, {
      ...{ state, attempt, requested_at, finished_at, stored_at },
      url: data.url || job.url,
      file: links.file ?? job.file,
      pdf: links.pdf,
      signed: Date.now(),
      bytes: data.bytes ?? report?.bytes,
      older: state !== "done" && Boolean(data.older_pdf),
      error: state === "failed" ? data.error ?? data : null,
      trouble: "",
    });
    if (report) {
      const { verdict, warnings, title, pages } = report;
      Object.assign(job, { report, verdict, warnings, title, pages });
    }
    this.#tell(job);
    this.follow();
  }

  /** Asks once, now: for a link that works for a while yet, or for the report of a PDF that was there. */
  async look(job, wait = 0) {
    const before = underWay(job);
    job.unread = false;
    try {
      const { data, after } = await call("GET", `pdf/${job.id}?wait=${wait}`);
      if (underWay(job) || !before) this.take(job, data); // else another look had told its end meanwhile
      return after;
    } catch (problem) {
      this.failed(job, problem);
      return problem.after;
    }
  }

  failed(job, problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.key) {
      this.#paused = true;
      this.#refused(problem);
    } else if (problem.status === 404) job.state = "gone";
    else job.trouble = problem.message;
    this.#tell(job);
  }

  /** Of a job that was taken off the list while it was looked at, nobody hears any more. */
  #tell(job) {
    if (!this.list.includes(job)) return;
    this.keep(this.list);
    this.#changed(job);
  }

  /** Follows what is under way, and reads up on PDFs that were there; called after all that may let it go on. */
  follow() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#paused) return;
    const open = this.list.filter((job) => (underWay(job) && !job.stalled) || job.unread);
    const next = open.filter((job) => !this.#busy.has(job)).sort((a, b) => (a.due ?? 0) - (b.due ?? 0));
    for (const job of next) {
      if (this.#busy.size >= SLOTS) return; // whoever ends comes back here
      const rest = (job.due ?? 0) - Date.now();
      if (rest > 0) {
        this.#timer = setTimeout(() => this.follow(), rest);
        return;
      }
      // The endpoint holds the requests for a few; of many, each is looked at in turn and holds up no other.
      this.#step(job, open.length > SLOTS ? 0 : HELD);
    }
  }

  async #step(job, wait) {
    this.#busy.add(job);
    const glance = setTimeout(() => this.look(job), GLANCE * 1000);
    const after = await this.look(job, wait);
    clearTimeout(glance);
    this.#busy.delete(job);
    job.looks = (job.looks ?? 0) + 1;
    job.since ??= Date.now();
    job.due = Date.now() + Math.max(after, Math.min(LONGEST_PAUSE, 1.5 ** job.looks)) * 1000;
    if (underWay(job) && Date.now() - job.since > PATIENCE * 1000) {
      job.stalled = true;
      this.#tell(job);
    }
    this.follow();
  }

  /** Goes on with a job that was given up, or with all of them when the key is another. */
  resume(job) {
    this.#paused = false;
    if (job) Object.assign(job, { since: Date.now(), looks: 0, due: 0, stalled: false });
    this.follow();
  }
}
