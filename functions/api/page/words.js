// The texts for states, verdicts, warnings and figures.

export const underWay = (job) => ["publishing", "queued", "running"].includes(job.state);

const STATES = {
  publishing: "Being queued",
  queued: "Waiting for a free renderer",
  running: "Printing",
  failed: "Failed",
  expired: "No longer kept",
  gone: "No longer known",
};

const VERDICTS = {
  complete: ["Complete"],
  degraded: ["Incomplete", "The page was printed, but not all of it arrived."],
  suspect: ["Doubtful", "This may not be the page that you meant. Look at it before you pass it on."],
};

// What the reader can do about a warning; the endpoint's own text says what it is.
const ADVICE = {
  not_settled: "If something is missing, wait for an element, or for some seconds more.",
  resources_failed: "Print it again, in case the fault was temporary.",
  resources_blocked: "Only public addresses are fetched.",
  images_missing: "Their places on the paper are empty.",
  glyphs_missing: "They are printed as empty boxes.",
  content_cut: "Let wide content be scaled to fit, or choose wider paper.",
  document_cut: "Print it again, in case the fault was temporary.",
  console_errors: "The paper may still have everything.",
  page_status: "This may be an error page.",
  near_blank: "The page may need more time: wait for one of its elements, or for some seconds.",
  challenge_page: "The site admits no automatic browsers, and urlshot does not work around that.",
  login_page: "POST /pdf takes cookies, headers and passwords for pages behind a login.",
};

/** Returns the word for the state of a job. */
export function stateWord(job) {
  if (job.state === "done") return VERDICTS[job.verdict]?.[0] ?? "Done";
  if (job.state === "queued" && job.attempt > 0) return `Waiting for try ${job.attempt + 1}`;
  if (job.state === "running" && job.attempt > 1) return `Printing, try ${job.attempt}`;
  return STATES[job.state] ?? "Requested";
}

/** Returns the state with the job's figures. */
export function figures(job) {
  const found = [];
  const made = Date.parse(job.finished_at ?? job.stored_at);
  if (underWay(job)) {
    found.push(job.stalled ? "no longer followed" : duration(Date.now() - job.asked, 0));
  } else if (job.state === "done") {
    if (job.pages) found.push(job.pages === 1 ? "1 page" : `${job.pages} pages`);
    if (job.bytes) found.push(job.bytes < 1e6 ? `${Math.ceil(job.bytes / 1e3)} kB` : `${(job.bytes / 1e6).toFixed(1)} MB`);
    if (job.hit && made) found.push(`made ${ago(made)}`);
    else if (made && job.requested_at) found.push(`took ${duration(made - Date.parse(job.requested_at), 1)}`);
  }
  return [stateWord(job), ...found, job.trouble].filter(Boolean).join(" · ");
}

/** Returns the sentences that explain a PDF: one for its verdict, and one for each warning. */
export function explained(job) {
  const warnings = Array.isArray(job.warnings) ? job.warnings : [];
  const sentences = warnings.map(({ code, text }) => `${text || code} ${ADVICE[code] ?? ""}`);
  return [VERDICTS[job.verdict]?.[1], sentences];
}

export function duration(milliseconds, digits) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (digits && seconds < 10) return `${seconds.toFixed(digits)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function ago(then) {
  const seconds = (Date.now() - then) / 1000;
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= length) return new Intl.RelativeTimeFormat("en").format(-Math.floor(seconds / length), unit);
  }
  return "just now";
}
