"""Defines the values of `Ref` and `Fn::GetAtt` for every type of resource on this machine."""

from dataclasses import dataclass
from typing import Any

from infra.local.template.evaluator import STACK_TYPE, Resource, TemplateError

REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's account for every caller


@dataclass(frozen=True)
class LocalAddresses:
    """Holds the endpoints of one running stack.

    Attributes:
        aws: The URL of the AWS stand-in (moto), such as "http://127.0.0.1:40001".
        amqp: The URL of the broker without credentials, such as "amqp://127.0.0.1:40002".
        console: The URL of the broker's management API, such as "http://127.0.0.1:40003".
        stack: The name of the stack, the first part of generated names.
    """

    aws: str
    amqp: str
    console: str
    stack: str = "urlshot"

    def pseudo(self, name: str) -> str | None:
        """Returns the value of a pseudo parameter; None if it is unknown."""
        return {
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.stack,
            "AWS::StackId": self.stack_id,
        }.get(name)

    def zones(self) -> list[str]:
        return [f"{REGION}{letter}" for letter in "abc"]

    @property
    def stack_id(self) -> str:
        return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self.stack}/local"

    def name(self, resource: Resource, declared: str | None = None) -> str:
        """Returns the name that the template declares, or one from the stack's name and the logical ids.

        Args:
            resource: The resource.
            declared: The property that declares the name, if the type has one.
        """
        if declared is not None and (given := resource.property(declared)) is not None:
            return str(given)
        return "-".join((self.stack, *resource.path))

    def ref(self, resource: Resource) -> str:
        """Returns the value of `Ref` for a resource."""
        match resource.type:
            case "AWS::Serverless::Function":
                # CloudFormation adds the name of the stack. Here there is one stack, and short names read better in
                # logs.
                return resource.logical_id
            case "AWS::Serverless::Api":
                return "local"
            case "AWS::Serverless::LayerVersion":
                return f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{resource.logical_id}:1"
            case "AWS::S3::Bucket":
                return self.name(resource, "BucketName").lower()
            case "AWS::SQS::Queue":
                return f"{self.aws}/{ACCOUNT}/{self.name(resource, 'QueueName')}"
            case "AWS::Events::EventBus":
                return self.name(resource, "Name")
            case "AWS::SecretsManager::Secret":
                return self._secret(resource)
            case "AWS::AmazonMQ::Broker":
                return "b-" + "-".join(resource.path).lower()
            case _ if resource.type == STACK_TYPE:
                return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self.name(resource)}/local"
            case _:
                # Roles, log groups, alarms and others do not exist here, but templates refer to their names.
                return self.name(resource)

    def attribute(self, resource: Resource, name: str) -> Any:
        """Returns the value of `Fn::GetAtt` for an attribute of a resource.

        Raises:
            TemplateError: The local stack does not know the attribute.
        """
        match resource.type, name:
            case "AWS::Serverless::Function", "Arn":
                return function_arn(self.ref(resource))
            case "AWS::Serverless::Api", "RootResourceId":
                return "root"
            case "AWS::S3::Bucket", "Arn":
                return f"arn:aws:s3:::{self.ref(resource)}"
            case "AWS::SQS::Queue", "Arn":
                return queue_arn(self.name(resource, "QueueName"))
            case "AWS::SQS::Queue", "QueueName":
                return self.name(resource, "QueueName")
            case "AWS::SQS::Queue", "QueueUrl":
                return self.ref(resource)
            case "AWS::Events::EventBus", "Arn":
                return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{self.ref(resource)}"
            case "AWS::Events::EventBus", "Name":
                return self.ref(resource)
            case "AWS::SecretsManager::Secret", "Id":
                return self._secret(resource)
            case "AWS::AmazonMQ::Broker", "Arn":
                return f"arn:aws:mq:{REGION}:{ACCOUNT}:broker:{self.name(resource)}:{self.ref(resource)}"
            case "AWS::AmazonMQ::Broker", "AmqpEndpoints":
                return [self.amqp]
            case "AWS::AmazonMQ::Broker", "ConsoleURLs":
                return [self.console]
            case "AWS::EC2::SecurityGroup", "GroupId":
                return self.name(resource)
            case kind, "Arn" if not kind.startswith("AWS::Serverless::"):
                return f"arn:aws:local:{REGION}:{ACCOUNT}:{self.name(resource)}"
            case kind, _:
                raise TemplateError(f"{resource.where}: the local stack has no {name} for {kind}")

    def _secret(self, resource: Resource) -> str:
        # Secrets Manager appends six random characters, but also accepts ARNs without them.
        return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{self.name(resource, 'Name')}"


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
