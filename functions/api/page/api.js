// Calls the API of this origin only, so that the key is sent nowhere else.

const SECONDS = 40; // longer than API Gateway's limit of 29 s
const KEY = "urlshot.key";

/** An unsuccessful answer (RFC 9457): its whole `body`, and `after`, the seconds of Retry-After. */
export class Problem extends Error {
  constructor(status, body, after) {
    super((body.detail || body.title || "The endpoint's answer cannot be read").replace(/\w$/, "$&."));
    Object.assign(this, { status, body, after, remedy: body.remedy ?? "", field: body.field ?? "" });
  }

  /** Whether the API key is missing or wrong. */
  get key() {
    return this.status === 401 || this.status === 403;
  }
}

/** Calls a path relative to the page. Returns status, data and the seconds of Retry-After; throws a Problem. */
export async function call(method, path, body) {
  const url = new URL(path, document.baseURI);
  if (url.origin !== location.origin) throw new Error(`${url.origin} is another origin`);
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

/** Returns the result of `access`; null if the browser forbids storage, or what it holds cannot be read. */
export function quietly(access) {
  try {
    return access();
  } catch {
    return null;
  }
}

/** The API key, stored for the tab, or for the device if the user wants that. */
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
