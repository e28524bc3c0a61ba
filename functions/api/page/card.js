// Shows one job. Titles, addresses and console lines are strangers' texts: they are set as text, never as markup, and an
// address becomes a link only if it is http or https.

import { inOurWords } from "./form.js";
import { duration, explained, figures, stateWord, underWay } from "./words.js";

const form = document.getElementById("ask");
const template = document.getElementById("job");
const LISTS = {
  failed: "Did not load",
  blocked: "Refused",
  images_missing: "Images that did not load",
  console: "Messages of the page’s scripts",
};

export class Card {
  /** Calls `act(what, card)` when a button is used. */
  constructor(job, act) {
    this.element = template.content.firstElementChild.cloneNode(true);
    const part = (selector) => this.element.querySelector(selector);
    Object.assign(this, {
      job,
      heading: part("h3"),
      name: part("bdi"),
      where: part(".where"),
      state: part(".state"),
      notes: part(".notes"),
      sheet: part(".sheet"),
      noted: "",
    });
    this.heading.id = `job-${job.id}`;
    part("article").setAttribute("aria-labelledby", this.heading.id);
    this.buttons = Object.fromEntries([...this.element.querySelectorAll("[data-do]")].map((one) => [one.dataset.do, one]));
    this.element.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-do]");
      if (button) act(button.dataset.do, this);
    });
  }

  render(job) {
    this.job = job;
    const there = job.state === "done" || job.older;
    this.element.dataset.look = underWay(job) ? "under-way" : job.state === "done" ? job.verdict ?? "complete" : job.state;
    this.element.classList.toggle("there", there);
    this.name.textContent = job.title || job.url;
    if (job.title && this.where.textContent !== job.url) this.where.replaceChildren(link(job.url, job.url));
    this.tick();
    this.offer("show", there);
    this.offer("download", there && web(job.file));
    this.offer("copy", there && web(job.file));
    this.offer("again", !underWay(job));
    this.offer("look", job.stalled);
    this.offer("remove", true);
    if (web(job.file)) this.buttons.download.href = `${job.file}${job.file.includes("?") ? "&" : "?"}download=1`;
    if (!there) this.hide();
    this.note();
  }

  /** Updates the line with the state and the time. */
  tick() {
    const [word, ...rest] = figures(this.job).split(" · ");
    this.state.replaceChildren(element("strong", word), rest.map((figure) => ` · ${figure}`).join(""));
  }

  offer(what, wanted) {
    const button = this.buttons[what];
    button.hidden = !wanted;
    button.setAttribute("aria-label", `${button.textContent}: ${this.name.textContent}`);
  }

  /** Explains the state; changes nothing while the texts are the same, so that open details stay open. */
  note() {
    const { state, error, older, options, report } = this.job;
    const [verdict, warnings] = explained(this.job);
    const texts = [flat(options).join(" · ")]; // then the reason, then everything else
    if (state === "failed") {
      texts.push(error?.detail || error?.title, error?.remedy, older && "An older PDF still exists.");
    } else if (state === "done") {
      texts.push(verdict, ...warnings);
    } else if (!underWay(this.job)) {
      texts.push("PDFs are kept for a limited time. Print it again to get a new one.");
    }
    const noted = JSON.stringify([texts, report]);
    if (noted === this.noted) return;
    this.noted = noted;
    const parts = texts.map((text, place) => text && element("p", inOurWords(form, text), ["soft", "why"][place]));
    this.notes.replaceChildren(...parts.filter(Boolean));
    if (state === "done" && report) this.notes.append(details(report));
  }

  /** Moves focus and view to the card; in a layout with one column it may be far from the form. */
  go() {
    this.heading.focus({ preventScroll: true });
    this.element.scrollIntoView({ block: matchMedia("(width < 60rem)").matches ? "start" : "nearest" });
  }

  /** Shows the PDF in the page; its link must be new. */
  show() {
    const { pdf } = this.job;
    const note = element("p", "", "soft");
    this.sheet.replaceChildren(note);
    if (!web(pdf)) {
      note.textContent = "The PDF cannot be shown now. Try again in a moment.";
    } else if (navigator.pdfViewerEnabled === false) {
      note.textContent = "This browser cannot show a PDF inside a page.";
      this.sheet.append(link(pdf, "Open the PDF", "main"));
    } else {
      const frame = element("iframe");
      Object.assign(frame, { title: `PDF of ${this.name.textContent}`, src: `${pdf}#navpanes=0&view=FitH` });
      this.sheet.prepend(frame);
      note.append(link(pdf, "Open the PDF in a new tab"));
    }
    this.toggle(true);
  }

  hide() {
    this.sheet.replaceChildren();
    this.toggle(false);
  }

  toggle(open) {
    this.open = open;
    this.buttons.show.textContent = open ? "Hide" : "Show";
    this.buttons.show.setAttribute("aria-expanded", open);
    this.offer("show", !this.buttons.show.hidden);
  }
}

/** Returns a report's figures and lists as folded details. */
function details(report) {
  const box = element("details");
  const facts = element("dl");
  const fact = (name, values) => {
    if (values.length) facts.append(element("dt", name), ...values.map((value) => element("dd", value)));
  };
  fact("Printed from", [report.final_url]);
  fact("Time", [Object.entries(report.phases ?? {}).map(([name, took]) => `${name} ${duration(took, 2)}`).join(" · ")]);
  fact("Blocked, as requested", flat(report.tidied?.blocked));
  for (const [name, title] of Object.entries(LISTS)) {
    fact(title, (report[name] ?? []).map((one) => (one.url ? `${one.url}: ${one.reason}` : one)));
  }
  box.append(element("summary", "Details"), facts);
  return box;
}

/** Returns options or counts as texts. */
function flat(values, before = "") {
  return Object.entries(values ?? {}).flatMap(([name, value]) => {
    if (value && typeof value === "object" && !Array.isArray(value)) return flat(value, `${before}${name} `);
    const words = `${before}${name.replaceAll("_", " ")}`;
    return value === true ? words : value === false ? `no ${words}` : `${words} ${String(value).slice(0, 60)}`;
  });
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Returns whether a text is an address that a link may have. */
function web(url) {
  return /^https?:\/\//i.test(url ?? "") && URL.canParse(url);
}

function link(url, text, className) {
  const made = element(web(url) ? "a" : "span", text, className);
  if (web(url)) Object.assign(made, { href: url, target: "_blank", rel: "noopener noreferrer" });
  return made;
}
