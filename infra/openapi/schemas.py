"""From our models to the schemas of an OpenAPI 3.1 document, which are JSON Schema 2020-12."""

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
    """Pydantic's, with what the models' docstrings say, and without titles that repeat the names.

    In answers every field is there but those that are null, and a field may be added one day: so there are no defaults,
    and unknown names are not forbidden.
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
        """Null, and what the default's own schema tells by its fields, are left out."""
        told = schema.get("default") is not None and not isinstance(schema["default"], BaseModel)
        if self.mode == "validation" and told:
            return super().default_schema(schema)
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """In answers what is null is left out."""
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
        # As a person reads it: what it is, then what is in it.
        order = ["description", "type", "required", "properties"]
        return {key: found[key] for key in (*(k for k in order if k in found), *(k for k in found if k not in order))}


def schemas(models: Sequence[type[BaseModel]], mode: JsonSchemaMode) -> dict[str, Any]:
    """The schemas of models, and of all that are in them, by their names; `serialization` is how answers show them."""
    generator = _Generator(ref_template=REF)
    _, definitions = generator.generate_definitions([(model, mode, model.__pydantic_core_schema__) for model in models])
    return {str(name): schema for name, schema in definitions.items()}


def first_paragraph(text: str) -> str:
    """The part of a docstring that is for everyone, on one line."""
    return " ".join(text.split("\n\n")[0].split())


def _field_docs(cls: type[BaseModel]) -> dict[str, str]:
    """What stands as a docstring below the fields of a model and of those that it inherits from."""
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
