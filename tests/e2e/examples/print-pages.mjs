// Prints each URL of the command line to its own file: node print-pages.mjs https://example.com/
import { writeFile } from "node:fs/promises";

const { API = "http://127.0.0.1:8080", KEY = "" } = process.env;

/** Returns the body of an answer. Throws a problem with its reason and its remedy. */
async function call(url, request = {}) {
  const answer = await fetch(url, { ...request, headers: { "x-api-key": KEY, "content-type": "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.title}: ${body.detail} ${body.remedy}`);
  return body;
}

/** Returns the PDF of a page. */
async function pdfOf(url, options = {}) {
  let job = await call(`${API}/pdf`, { method: "POST", body: JSON.stringify({ url, options }) });
  while (job.state !== "done" && job.state !== "failed") job = await call(`${job.links.self}?wait=20`);
  if (job.state === "failed") throw new Error(`${job.error.title}: ${job.error.detail} ${job.error.remedy}`);
  const file = await fetch(job.links.pdf); // without the key: the link is signed
  return Buffer.from(await file.arrayBuffer());
}

for (const [index, url] of process.argv.slice(2).entries()) {
  await writeFile(`${index + 1}.pdf`, await pdfOf(url, { format: "A5", page_numbers: true }));
}
