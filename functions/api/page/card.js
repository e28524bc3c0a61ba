// One job on the page. Titles, addresses and console lines are strangers' texts: they are set as text, never as markup,
// and an address becomes a link only where it is http or https.

import { inOurWords } from "./form.js";
import { duration, explained, figures, stateWord, underWay } from "./words.js";

const form = document.getElementById("ask");
const template = document.getElementById("job");
const LISTS = {
  failed: "Did not load",
  blocked: "Refused",
  images_missing: "Images that did not load",
  console: "What the page’s scripts said",
};

export class Card {
  /** `act(what, card)` is told what a button asks for. */
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

  /** What changes with the time alone. */
  tick() {
    const [word, ...rest] = figures(this.job).split(" · ");
    this.state.replaceChildren(element("strong", word), rest.map((figure) => ` · ${figure}`).join(""));
  }

  offer(what, wanted) {
    const button = this.buttons[what];
    button.hidden = !wanted;
    button.setAttribute("aria-label", `${button.textContent}: ${this.name.textContent}`);
  }

  /** What there is to explain; left alone while it is the same, so that an unfolded part stays so. */
  note() {
    const { state, error, older, options, report } = this.job;
    const [verdict, warnings] = explained(this.job);
    const texts = [flat(options).join(" · ")]; // and why it is as it is, and what else there is to say
    if (state === "failed") {
      texts.push(error?.detail || error?.title, error?.remedy, older && "An older PDF of it is still there.");
    } else if (state === "done") {
      texts.push(verdict, ...warnings);
    } else if (!underWay(this.job)) {
      texts.push("PDFs are kept for a while only. Print it again to have a new one.");
    }
    const noted = JSON.stringify([texts, report]);
    if (noted === this.noted) return;
    this.noted = noted;
    const parts = texts.map((text, place) => text && element("p", inOurWords(form, text), ["soft", "why"][place]));
    this.notes.replaceChildren(...parts.filter(Boolean));
    if (state === "done" && report) this.notes.append(details(report));
  }

  /** Takes whoever asked to it; where the page has one column, it may be far from what was asked with. */
  go() {
    this.heading.focus({ preventScroll: true });
    this.element.scrollIntoView({ block: matchMedia("(width < 60rem)").matches ? "start" : "nearest" });
  }

  /** Puts the PDF into the page, from a link that was signed just now. */
  show() {
    const { pdf } = this.job;
    const said = element("p", "", "soft");
    this.sheet.replaceChildren(said);
    if (!web(pdf)) {
      said.textContent = "The PDF cannot be shown now. Try again in a moment.";
    } else if (navigator.pdfViewerEnabled === false) {
      said.textContent = "This browser shows no PDF inside a page.";
      this.sheet.append(link(pdf, "Open the PDF", "main"));
    } else {
      const frame = element("iframe");
      Object.assign(frame, { title: `PDF of ${this.name.textContent}`, src: `${pdf}#navpanes=0&view=FitH` });
      this.sheet.prepend(frame);
      said.append(link(pdf, "Open the PDF in a tab of its own"));
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

/** A report's figures and lists, folded. */
function details(report) {
  const box = element("details");
  const facts = element("dl");
  const fact = (name, values) => {
    if (values.length) facts.append(element("dt", name), ...values.map((value) => element("dd", value)));
  };
  fact("Printed from", [report.final_url]);
  fact("Time", [Object.entries(report.phases ?? {}).map(([name, took]) => `${name} ${duration(took, 2)}`).join(" · ")]);
  fact("Not loaded, as asked", flat(report.tidied?.blocked));
  for (const [name, title] of Object.entries(LISTS)) {
    fact(title, (report[name] ?? []).map((one) => (one.url ? `${one.url}: ${one.reason}` : one)));
  }
  box.append(element("summary", "Details"), facts);
  return box;
}

/** Options or counts, one text each. */
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

/** Whether a text is an address that a link may lead to. */
function web(url) {
  return /^https?:\/\//i.test(url ?? "") && URL.canParse(url);
}

function link(url, text, className) {
  const made = element(web(url) ? "a" : "span", text, className);
  if (web(url)) Object.assign(made, { href: url, target: "_blank", rel: "noopener noreferrer" });
  return made;
}
