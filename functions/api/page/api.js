// Calls of our own API, and of nothing else: the key goes to this origin alone.

const SECONDS = 40; // longer than API Gateway listens
const KEY = "urlshot.key";

/** An answer that is no success, as RFC 9457 has it; `body` is all of it, `after` the seconds of Retry-After. */
export class Problem extends Error {
  constructor(status, body, after) {
    super((body.detail || body.title || "The endpoint's answer is not understood here").replace(/\w$/, "$&."));
    Object.assign(this, { status, body, after, remedy: body.remedy ?? "", field: body.field ?? "" });
  }

  /** Whether it is the API key that is missing or wrong. */
  get key() {
    return this.status === 401 || this.status === 403;
  }
}

/** `path` is relative to the page's. Gives status, data and the seconds of Retry-After; throws a Problem. */
export async function call(method, path, body) {
  const url = new URL(path, document.baseURI);
  if (url.origin !== location.origin) throw new Error(`${url.origin} is not our own origin`);
  const headers = { "Content-Type": "application/json" };
  if (key.value) headers["x-api-key"] = key.value;
  let answer;
  try {
    const signal = AbortSignal.timeout(SECONDS * 1000);
    answer = await fetch(url, { method, headers, body: body && JSON.stringify(body), redirect: "error", signal });
  } catch {
    throw new Problem(0, { title: "The endpoint cannot be reached", remedy: "Check the connection." }, 0);
  }
  const data = (await answer.json().catch(() => null)) ?? {};
  const after = Number(answer.headers.get("Retry-After")) || 0;
  if (!answer.ok) throw new Problem(answer.status, data, after);
  return { status: answer.status, data, after };
}

/** What `touch` gives; null where the browser forbids storage, or what is stored is not ours. */
export function quietly(touch) {
  try {
    return touch();
  } catch {
    return null;
  }
}

/** The API key: kept by the tab, or by the device where that was asked for. */
export const key = {
  kept: quietly(() => localStorage.getItem(KEY)) !== null,
  value: quietly(() => localStorage.getItem(KEY)) ?? quietly(() => sessionStorage.getItem(KEY)) ?? "",

  save(value, keep) {
    this.value = value.trim();
    quietly(() => localStorage.removeItem(KEY));
    quietly(() => sessionStorage.removeItem(KEY));
    if (this.value) quietly(() => (keep ? localStorage : sessionStorage).setItem(KEY, this.value));
  },
};
