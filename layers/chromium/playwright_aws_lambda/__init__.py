"""Chromium for AWS Lambda, driven by Playwright.

A counterpart of the npm package `playwright-aws-lambda`, with its shape and its names: `chromium_args()`,
`launch_chromium()`, `load_font()`. Not its binary: that is a Chromium of May 2020, which today's Playwright cannot
drive and which must not meet the open web. The binary here is the headless shell of npm's `@sparticuz/chromium`,
recompressed when the layer is built (`build.py` beside this package).

The package finds the layer from its own place below /opt, so nothing is configured, and knows nothing of urlshot.
"""

from playwright_aws_lambda.fonts import load_font
from playwright_aws_lambda.launch import Chromium, chromium_args, launch_chromium
from playwright_aws_lambda.layer import Layer, LayerError

__all__ = ["Chromium", "Layer", "LayerError", "chromium_args", "launch_chromium", "load_font"]
