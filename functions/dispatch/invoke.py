"""Invokes `render` asynchronously: Lambda queues the invocation and sends its outcome to `settle`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from urlshot.adapters.aws import client
from urlshot.adapters.logs import logger
from urlshot.core.errors import Broken, Transient
from urlshot.core.render_contract import RenderJob

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient

log = logger()


def lambda_client(pool: int) -> LambdaClient:
    """Makes a Lambda client with short timeouts and `pool` connections.

    The client does not repeat a request, because a repetition could start a second render.
    """
    made: LambdaClient = client("lambda", retries={"total_max_attempts": 1}, max_pool_connections=pool)
    return made


class Renderer:
    """Invokes the function `render`; is safe to share between threads."""

    def __init__(self, function: str, client: LambdaClient) -> None:
        self._function = function
        self._lambda = client

    def hand_over(self, job: RenderJob) -> None:
        """Gives a job to Lambda.

        If no answer comes, the job counts as accepted, because Lambda may have it.

        Raises:
            Transient: `throttled`: Lambda does not accept the job now, or no connection was made.
            Broken: Lambda refuses the job.
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
