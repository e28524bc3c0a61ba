"""Runs SAM's transform on the templates that come in, as JSON by file. For the interpreter of the SAM CLI."""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

given = json.load(sys.stdin)
json.dump({file: Translator({}, Parser(), None).translate(body, {}) for file, body in given.items()}, sys.stdout)
