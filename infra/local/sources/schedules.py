"""Implements EventBridge's schedules, which invoke a function once per period.

Source: "Creating a scheduled rule" in the EventBridge user guide, and its example of a scheduled event.
"""

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from infra.local.functions.lambdas import Lambdas
from infra.local.template.addresses import ACCOUNT, REGION
from infra.local.template.model import Schedule


async def follow_schedule(schedule: Schedule, lambdas: Lambdas) -> None:
    """Invokes the function of a schedule every period, the first time after one period, until it is cancelled."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += schedule.every
        await asyncio.sleep(max(0.0, due - loop.time()))
        lambdas.invoke_async(schedule.function, json.dumps(schedule.payload or scheduled_event(schedule)).encode())


def scheduled_event(schedule: Schedule) -> dict[str, Any]:
    """Returns the event that EventBridge sends for a schedule without its own payload."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{schedule.name}"],
        "detail": {},
    }
