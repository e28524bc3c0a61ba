// The npm peers, with the protocol of protocol.py: `node node.mjs NAME NODE_MODULES`.
//
// puppeteer               puppeteer-core with @sparticuz/chromium, as the README of @sparticuz/chromium shows it
// playwright-aws-lambda   as its README shows it

import { writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const now = () => Number(process.hrtime.bigint()) / 1e9;
const marks = { begun: now() };
const [name, modules] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/none.js`));
const versionOf = (one) => require(`${modules}/${one}/package.json`).version;

const tools = {
  async puppeteer() {
    const puppeteer = require("puppeteer-core");
    const loaded = require("@sparticuz/chromium");
    const chromium = loaded.default ?? loaded;
    marks.imported = now();
    chromium.setGraphicsMode = false;
    const executablePath = await chromium.executablePath();
    marks.inflated = now();
    const browser = await puppeteer.launch({
      args: puppeteer.defaultArgs({ args: chromium.args, headless: "shell" }),
      defaultViewport: { deviceScaleFactor: 1, hasTouch: false, height: 1080, isLandscape: true, isMobile: false, width: 1920 },
      executablePath,
      headless: "shell",
    });
    let page;
    return {
      async print(url) {
        page = await browser.newPage();
        await page.goto(url);
        return page.pdf({ format: "A4", printBackground: true, tagged: false });
      },
      async tidy() {
        await page?.close();
        page = undefined;
      },
      close: () => browser.close(),
      versions: {
        "puppeteer-core": versionOf("puppeteer-core"), "@sparticuz/chromium": versionOf("@sparticuz/chromium"),
        chromium: await browser.version(), node: process.versions.node,
      },
    };
  },

  async "playwright-aws-lambda"() {
    const playwright = require("playwright-aws-lambda");
    marks.imported = now();
    const browser = await playwright.launchChromium();
    let context;
    return {
      async print(url) {
        context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(url);
        return page.pdf({ format: "A4", printBackground: true });
      },
      async tidy() {
        await context?.close();
        context = undefined;
      },
      close: () => browser.close(),
      versions: {
        "playwright-aws-lambda": versionOf("playwright-aws-lambda"), "playwright-core": versionOf("playwright-core"),
        chromium: browser.version(), node: process.versions.node,
      },
    };
  },
};

const say = (answer) => writeSync(1, JSON.stringify(answer) + "\n");
const words = (error) => `${error.name}: ${error.message}`;

let tool;
try {
  tool = await tools[name]();
} catch (error) {
  say({ error: words(error) });
  process.exit(1);
}
marks.started = now();
say({ ready: now(), marks, versions: tool.versions });
for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  const began = now();
  try {
    if (job.loop) {
      let done = 0;
      for (; now() < job.until; done += 1) {
        await tool.print(job.loop[done % job.loop.length]);
        await tool.tidy();
      }
      say({ done, seconds: now() - began });
      continue;
    }
    const pdf = await tool.print(job.url);
    const ended = now();
    writeFileSync(job.file, pdf);
    await tool.tidy();
    say({ ms: (ended - began) * 1000, at: ended });
  } catch (error) {
    say({ error: words(error) });
    await tool.tidy().catch(() => {});
  }
}
await tool.close();
process.exit(0);
