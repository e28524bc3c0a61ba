// Keeps the jobs of this browser in its storage, and follows them until they end.

import { Problem, call, quietly } from "./api.js";
import { underWay } from "./words.js";

export const MOST = 100; // the maximum of one batch
const STORED = "urlshot.jobs";
const SLOTS = 4; // parallel requests
const HELD = 10; // seconds that such a request waits for the end of the job
const GLANCE = 2; // seconds after which another request reads the job's state
const PATIENCE = 30 * 60; // seconds for which a job is followed
const LONGEST_PAUSE = 30; // seconds between two requests
const KEPT = ["id", "url", "options", "asked", "hit", "state", "attempt", "requested_at", "finished_at", "stored_at", "bytes",
  "error", "verdict", "warnings", "title", "pages", "older", "file"];

const kept = (job) => Object.fromEntries(KEPT.map((name) => [name, job[name]]));

/** The list, newest first. Calls `changed(job)` after each change, and `refused(problem)` if the key is wrong. */
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

  /** Adds the job of a POST's answer at the top. */
  add(data, options) {
    const now = Date.now();
    const hit = data.state === "done";
    const job = { id: data.id, url: data.url, options, hit, unread: hit, asked: now, since: now };
    this.keep([job, ...this.list.filter((other) => other.id !== job.id)]);
    this.take(job, data);
    return job;
  }

  /** Updates a job from an answer: a Job, a PdfThere, or the Problem that it ended with. */
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
    this.#report(job);
    this.follow();
  }

  /** Reads a job now: for a new link, or for the report of a PDF that existed. */
  async look(job, wait = 0) {
    const before = underWay(job);
    job.unread = false;
    try {
      const { data, after } = await call("GET", `pdf/${job.id}?wait=${wait}`);
      if (underWay(job) || !before) this.take(job, data); // else another request has reported its end
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
    this.#report(job);
  }

  /** Stores and reports a change, unless the job was removed from the list meanwhile. */
  #report(job) {
    if (!this.list.includes(job)) return;
    this.keep(this.list);
    this.#changed(job);
  }

  /** Follows jobs under way, and reads the reports of PDFs that existed; called whenever it may continue. */
  follow() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#paused) return;
    const open = this.list.filter((job) => (underWay(job) && !job.stalled) || job.unread);
    const next = open.filter((job) => !this.#busy.has(job)).sort((a, b) => (a.due ?? 0) - (b.due ?? 0));
    for (const job of next) {
      if (this.#busy.size >= SLOTS) return; // the end of a request calls this again
      const rest = (job.due ?? 0) - Date.now();
      if (rest > 0) {
        this.#timer = setTimeout(() => this.follow(), rest);
        return;
      }
      // The endpoint waits for the ends of a few jobs. Many are read in turn, so that none delays the others.
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
      this.#report(job);
    }
    this.follow();
  }

  /** Follows a stalled job again, or all jobs after the key has changed. */
  resume(job) {
    this.#paused = false;
    if (job) Object.assign(job, { since: Date.now(), looks: 0, due: 0, stalled: false });
    this.follow();
  }
}
