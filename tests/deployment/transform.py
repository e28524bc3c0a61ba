"""Runs SAM's transform on the template that comes in, as JSON. For the interpreter of the SAM CLI's own environment."""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

json.dump(Translator({}, Parser(), None).translate(json.load(sys.stdin), {}), sys.stdout)
