"""Reads a function's EventInvokeConfig, its settings for asynchronous events. Unknown properties are errors.

Source: SAM's EventInvokeConfiguration; CloudFormation's AWS::Lambda::EventInvokeConfig for the ranges.
"""

from collections.abc import Mapping
from typing import Any

from infra.local.template.evaluator import TemplateError
from infra.local.template.model import Asynchronous, Destination
from infra.local.template.parameters import whole_number

_RETRIES = range(3)
_AGE_SECONDS = range(60, 6 * 3600 + 1)


def read_asynchronous(
    config: Mapping[str, Any], functions: Mapping[str, str], queues: set[str], where: str
) -> Asynchronous:
    """Returns the settings of one function.

    Args:
        config: The EventInvokeConfig, with the Globals merged in.
        functions: The logical id of every function of the template, by ARN.
        queues: The ARNs of the template's SQS queues.
        where: The place in the template, for errors.

    Raises:
        TemplateError: The local stack does not know a property or a destination.
    """
    _check_known(config, {"MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"}, where)
    destinations = config.get("DestinationConfig") or {}
    _check_known(destinations, {"OnSuccess", "OnFailure"}, f"{where}/DestinationConfig")

    def destination(name: str) -> Destination | None:
        return _destination(destinations.get(name) or {}, functions, queues, f"{where}/DestinationConfig/{name}")

    def number(name: str, otherwise: int, allowed: range) -> int:
        return whole_number(config.get(name, otherwise), allowed, f"{where}/{name}")

    default = Asynchronous()
    return Asynchronous(
        retries=number("MaximumRetryAttempts", default.retries, _RETRIES),
        max_age=number("MaximumEventAgeInSeconds", int(default.max_age), _AGE_SECONDS),
        on_success=destination("OnSuccess"),
        on_failure=destination("OnFailure"),
    )


def _destination(
    given: Mapping[str, Any], functions: Mapping[str, str], queues: set[str], where: str
) -> Destination | None:
    if not given:
        return None
    _check_known(given, {"Type", "Destination"}, where)
    kind, target = given.get("Type"), given.get("Destination")
    if kind not in ("Lambda", "SQS"):
        raise TemplateError(f"{where}: the local stack knows destinations of Type Lambda and SQS only, not {kind}")
    if target is None:
        raise TemplateError(f"{where}: the property Destination is missing")
    if kind == "SQS":
        if target not in queues:
            raise TemplateError(f"{where}: {target} is no queue of this template")
        return Destination("SQS", target)
    if target not in functions:
        raise TemplateError(f"{where}: {target} is no function of this template")
    return Destination("Lambda", functions[target])


def _check_known(given: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := set(given) - known:
        raise TemplateError(f"{where}: the local stack does not know {', '.join(sorted(unknown))}")
