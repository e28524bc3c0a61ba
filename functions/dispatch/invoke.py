"""Hands a job to `render`: an asynchronous invocation, which Lambda queues and whose outcome it hands to `settle`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from urlshot.aws import with_debug_lines
from urlshot.errors import Broken, Transient
from urlshot.jobs import RenderJob
from urlshot.logs import logger

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient

log = logger()


def lambda_client(pool: int) -> LambdaClient:
    """Makes a Lambda client with short waits that sends each request once: a second one could start a second render."""
    config = Config(
        connect_timeout=2,
        read_timeout=5,
        retries={"total_max_attempts": 1},
        max_pool_connections=pool,
        tcp_keepalive=True,
    )
    return with_debug_lines(boto3.client("lambda", config=config))


class Renderer:
    """The function `render`; safe to share between threads."""

    def __init__(self, function: str, client: LambdaClient) -> None:
        self._function = function
        self._lambda = client

    def hand_over(self, job: RenderJob) -> None:
        """Gives a job to Lambda. An answer that does not come counts as accepted, because Lambda may have the job.

        Raises:
            Transient: `throttled`: Lambda does not take the job now, or was not reached. Broken: Lambda refuses it.
        """
        try:
            self._lambda.invoke(
                FunctionName=self._function, InvocationType="Event", Payload=job.model_dump_json().encode()
            )
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 429 or status >= 500:
                raise Transient("throttled", internal=f"invoke {self._function}: {code}") from error
            raise Broken(f"invoke {self._function}: {code}") from error
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise Transient("throttled", internal=f"invoke {self._function}: {error!r}") from error
        except BotoCoreError as error:
            log.warning("job: no answer to the hand-over", extra={"job_id": job.id, "error_internal": repr(error)})
