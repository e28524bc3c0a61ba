"""Runs SAM's transform on a JSON template from stdin to stdout, with the interpreter of the SAM CLI's environment."""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

json.dump(Translator({}, Parser(), None).translate(json.load(sys.stdin), {}), sys.stdout)
