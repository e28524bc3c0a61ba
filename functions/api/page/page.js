// The page at /: connects the form and the list of jobs.

import { Problem, call, key } from "./api.js";
import { Card } from "./card.js";
import { clearErrors, controlsOf, inOurWords, nameOf, readOptions, readUrls, showError } from "./form.js";
import { Jobs, MOST } from "./jobs.js";
import { figures, stateWord, underWay } from "./words.js";

const find = (id) => document.getElementById(id);
const form = find("ask");
const { url } = form.elements;
const send = form.querySelector("[type=submit]");
const cards = new Map(); // by the job's id
const wanted = new Set(); // ids of jobs whose PDF is shown as soon as it exists
const jobs = new Jobs(changed, refused);

/** Announces a text to screen readers. */
const say = (text) => (find("said").textContent = text);

// ---- the list ------------------------------------------------------------------------------------------------------

function changed(job) {
  const card = cards.get(job.id) ?? new Card(job, act);
  cards.set(job.id, card);
  card.render(job);
  const before = card.word;
  card.word = stateWord(job);
  if (before && before !== card.word) say(`${card.name.textContent}: ${figures(job)}`);
  if (wanted.has(job.id) && !underWay(job) && !job.unread) {
    wanted.delete(job.id);
    if (job.state === "done") show(card);
  }
  arrange();
}

function arrange() {
  const list = find("jobs");
  for (const [id, card] of cards) {
    if (jobs.get(id)) continue;
    card.element.remove();
    cards.delete(id);
  }
  jobs.list.forEach((job, place) => {
    const card = cards.get(job.id)?.element;
    if (card && list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  find("empty").hidden = jobs.list.length > 0;
  find("clear").hidden = jobs.list.length < 2;
}

setInterval(() => cards.forEach((card) => underWay(card.job) && !document.hidden && card.tick()), 1000);

async function show(card) {
  const { job } = card;
  const old = Date.now() - (job.signed ?? 0) > 20_000; // a link is valid for at least a minute, of which half may be over
  if (old || !job.pdf || !job.report) await jobs.look(job);
  if (job.state === "done" || job.older) card.show();
}

const ACTS = {
  show: (card) => (card.open ? card.hide() : show(card)),

  async copy({ job, buttons }) {
    try {
      await navigator.clipboard.writeText(job.file);
    } catch {
      return prompt("Copy this link:", job.file); // browsers allow the clipboard on https and localhost only
    }
    say("The link is copied.");
    buttons.copy.textContent = "Copied";
    setTimeout(() => (buttons.copy.textContent = "Copy link"), 2000);
  },

  /** Prints the page again even if there is a PDF. */
  async again(card) {
    const { job } = card;
    card.hide();
    try {
      const { data } = await call("POST", "pdf", { url: job.url, options: job.options ?? {}, max_age: 0 });
      if (!jobs.get(job.id)) return; // removed meanwhile
      wanted.add(data.id);
      jobs.add(data, job.options);
      card.go();
    } catch (problem) {
      jobs.failed(job, problem);
    }
  },

  look: ({ job }) => {
    jobs.resume(job);
    changed(job);
  },

  remove({ job, element }) {
    const next = element.nextElementSibling ?? element.previousElementSibling;
    jobs.keep(jobs.list.filter((other) => other !== job));
    arrange();
    (next?.querySelector("h3") ?? find("jobs-title")).focus();
  },
};

function act(what, card) {
  ACTS[what](card);
}

find("clear").addEventListener("click", () => {
  jobs.keep([]);
  arrange();
  find("jobs-title").focus();
});

// ---- the form ------------------------------------------------------------------------------------------------------

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (send.ariaDisabled) return; // the attribute disabled would lose the focus
  clearErrors(form);
  find("problem").textContent = "";
  const urls = readUrls(form);
  if (urls.length === 0) return showError(url, "Paste the address of a page.");
  if (urls.length > MOST) return showError(url, `There are ${urls.length} addresses; the maximum is ${MOST}.`);
  const wrong = [...form.elements].find((control) => control !== url && control.willValidate && !control.validity.valid);
  if (wrong) return showError(wrong, wrong.validationMessage);
  keepKey();

  const common = { options: readOptions(form) };
  const age = find("max-age").value;
  if (age) common.max_age = Number(age);
  send.ariaDisabled = "true";
  try {
    take(urls, await ask(urls.map((one) => ({ url: one, ...common }))), common.options);
  } catch (problem) {
    complain(problem);
  } finally {
    send.ariaDisabled = null;
  }
});

/** Sends the requests; returns `{index, status, body}` for each. */
async function ask(requests) {
  if (requests.length > 1) return (await call("POST", "pdf/batch", { requests })).data.results;
  try {
    const { status, data } = await call("POST", "pdf", requests[0]);
    return [{ index: 0, status, body: data }];
  } catch (problem) {
    if (!problem.body?.id) throw problem;
    return [{ index: 0, status: problem.status, body: problem.body }]; // the job failed, not the request
  }
}

function take(urls, results, options) {
  const taken = results.filter(({ body }) => body.id);
  if (taken.length === 1) wanted.add(taken[0].body.id);
  const added = taken.map(({ body }) => body).reverse().map((body) => jobs.add(body, options)).reverse();

  const left = results.flatMap(({ index, status, body }) => (body.id ? [] : [[urls[index], new Problem(status, body, 0)]]));
  const common = left.find(([, problem]) => problem.key || problem.field.startsWith("options"));
  if (common) return complain(common[1]);
  if (left.length) {
    url.value = left.map(([line]) => line).join("\n");
    count();
    const why = left.map(([line, problem]) => `${line}: ${problem.message} ${problem.remedy}`);
    return showError(url, [`Refused and kept here: ${left.length} of ${urls.length}.`, ...why].join("\n"));
  }
  url.addEventListener("focus", () => url.select(), { once: true });
  cards.get(added[0].id).go();
  if (added.length > 1) say(`${added.length} PDFs requested.`);
}

/** Shows a problem at the field that it names, or above the button. */
function complain(problem) {
  if (!(problem instanceof Problem)) throw problem;
  if (problem.key) return refused(problem);
  const { field, message, remedy } = problem;
  const controls = controlsOf(form, field);
  const named = message.startsWith(`${field}: `) && controls.length; // "options.scale: is …": use the label
  const text = named ? `${nameOf(controls)}: ${message.slice(field.length + 2)}` : inOurWords(form, `${message} ${remedy}`);
  if (controls.length) showError(controls[0], text);
  else find("problem").textContent = text;
}

function count() {
  const { length } = readUrls(form);
  send.textContent = length > 1 ? `Make ${length} PDFs` : "Make PDF";
}

url.addEventListener("input", count);
url.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

// ---- the key -------------------------------------------------------------------------------------------------------

function refused(problem) {
  find("key").hidden = false;
  clearErrors(form);
  const title = problem.body.title ?? "This is not allowed"; // the detail is API Gateway's text
  showError(find("key-value"), `${title}. ${key.value ? "Try another key." : "Enter yours."}`);
}

function keepKey() {
  key.save(find("key-value").value, find("key-keep").checked);
  jobs.resume();
}

// ---- the start -----------------------------------------------------------------------------------------------------

find("key-value").value = key.value;
find("key-keep").checked = key.kept;
find("key").hidden = document.documentElement.dataset.requiresKey !== "true" && !key.value;
find("key").addEventListener("change", keepKey);
form.noValidate = true; // the page shows errors at the fields
form.querySelector(".all").disabled = false;
jobs.list.forEach(changed);
arrange();
count();
jobs.follow();
