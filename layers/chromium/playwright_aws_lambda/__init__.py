"""Chromium for AWS Lambda, driven by Playwright.

The interface follows the npm package `playwright-aws-lambda`: `chromium_args()`, `launch_chromium()`, `load_font()`.
The binary is another one, because that package has a Chromium of May 2020, which today's Playwright cannot drive and
which is not safe on the open web. Here it is the headless shell of npm's `@sparticuz/chromium`, recompressed by
`build.py`.

The package finds the layer by its own path under /opt, so it needs no configuration. It does not depend on urlshot.
"""

from playwright_aws_lambda.fonts import load_font
from playwright_aws_lambda.launch import Chromium, chromium_args, launch_chromium
from playwright_aws_lambda.layer import Layer, LayerError

__all__ = ["Chromium", "Layer", "LayerError", "chromium_args", "launch_chromium", "load_font"]
