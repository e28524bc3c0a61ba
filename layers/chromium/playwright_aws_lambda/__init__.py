"""Chromium for AWS Lambda.

The interface follows the npm package `playwright-aws-lambda`: `chromium_args()`, `launch_chromium()`, `load_font()`.
The binary is another one, because that package has a Chromium of May 2020, which is not safe on the open web. Here it
is the headless shell of npm's `@sparticuz/chromium`, recompressed by `build.py`. The pages are driven over Chromium's
DevTools protocol.

The package finds the layer by its own path under /opt, so it needs no configuration. It does not depend on urlshot.
"""

from playwright_aws_lambda.devtools import DevToolsError, Gone, Navigated, Session
from playwright_aws_lambda.fonts import load_font
from playwright_aws_lambda.launch import Blank, Chromium, launch_chromium
from playwright_aws_lambda.layer import Layer, LayerError
from playwright_aws_lambda.switches import chromium_args

__all__ = [
    "Blank",
    "Chromium",
    "DevToolsError",
    "Gone",
    "Layer",
    "LayerError",
    "Navigated",
    "Session",
    "chromium_args",
    "launch_chromium",
    "load_font",
]
