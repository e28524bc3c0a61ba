"""Converts pydantic models to the schemas of an OpenAPI 3.1 document, which are JSON Schema 2020-12."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

REF = "#/components/schemas/{model}"


class _Generator(GenerateJsonSchema):
    """Generates schemas as pydantic does, with descriptions from the models' docstrings, and without titles.

    Answers contain every field that is not null, and later versions may add fields. So the schemas of answers have no
    defaults and allow unknown fields.
    """

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002
        return value

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "validation":
            return super().field_is_required(field, total)
        schema = field["schema"]
        return schema["type"] != "default" or schema.get("default") is not None

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Shows the defaults of requests, except null, and except models, whose fields have their own defaults."""
        has_default = schema.get("default") is not None and not isinstance(schema["default"], BaseModel)
        if self.mode == "validation" and has_default:
            return super().default_schema(schema)
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Allows null in requests only, because answers leave out fields that are null."""
        return super().nullable_schema(schema) if self.mode == "validation" else self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        del found["title"]
        if self.mode == "serialization":
            found.pop("additionalProperties", None)
        if "description" in found:
            found["description"] = first_paragraph(found["description"])
        for name, text in _field_docs(schema["cls"]).items():
            found["properties"][name].setdefault("description", text)
        # A reader wants the description first, then the fields.
        order = ["description", "type", "required", "properties"]
        return {key: found[key] for key in (*(k for k in order if k in found), *(k for k in found if k not in order))}


def schemas(models: Sequence[type[BaseModel]], mode: JsonSchemaMode) -> dict[str, Any]:
    """Returns the schemas of models and of the models that they contain, by name.

    Args:
        models: The pydantic models.
        mode: `validation` for requests, `serialization` for answers.
    """
    generator = _Generator(ref_template=REF)
    _, definitions = generator.generate_definitions([(model, mode, model.__pydantic_core_schema__) for model in models])
    return {str(name): schema for name, schema in definitions.items()}


def first_paragraph(text: str) -> str:
    """Returns the first paragraph of a docstring, the public part, on one line."""
    return " ".join(text.split("\n\n")[0].split())


def _field_docs(cls: type[BaseModel]) -> dict[str, str]:
    """Returns the docstrings below the fields of a model and of its base models, by field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    found[name] = first_paragraph(words)
    return {name: text for name, text in found.items() if name in cls.model_fields}
