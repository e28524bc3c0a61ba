"""The pages of the browser, over Chromium's DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""
