"""What can be asked here, and how? An OpenAPI document with the schemas that are loaded, examples, and code to copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trueup import __version__
from trueup.serve.code_samples import URL, arguments, code_samples
from trueup.serve.facts import FORMS, KINDS, MOST_FACTS, Answers
from trueup.serve.loadout import Loadout
from trueup.serve.open_inference import DATATYPES, OUTPUTS

Json = dict[str, Any]
_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
_VALUES: dict[str, Json] = {
    "number": {"type": ["number", "boolean", "null"]},
    "boolean": {"type": ["boolean", "number", "string", "null"]},
    "date": {"type": ["string", "number", "null"]},
    "category": {"type": ["string", "number", "boolean", "null"]},
    "text": {"type": ["string", "null"]},
}
_ANY_VALUE: Json = {"type": ["string", "number", "boolean", "null"]}
_EXAMPLES: Json = {
    "number": 12.5,
    "boolean": True,
    "date": "2026-03-01",
    "moment": "2026-03-01T10:00:00",
    "category": "a",
    "text": "as written",
}
_REFUSALS = {
    "400": "The body is no JSON text in UTF-8, or the bytes are no HTTP request.",
    "401": "No token, one that is not known, or one that has ended.",
    "403": "The token is not good for this.",
    "404": "Nothing is at this path, or the model has no such version.",
    "405": "The path takes another method.",
    "408": "The request did not arrive in time.",
    "409": "The prediction_id was used for another request, or the fact_id for another fact.",
    "413": "The body is too long, or holds too many rows or facts.",
    "415": "The body is compressed.",
    "422": "The JSON is not of the form that was agreed; row and field are named.",
    "429": "More requests came than can be answered in time; try again.",
    "431": "The headers are too long.",
    "503": "No decision is possible now, or it could not be logged; try again after Retry-After.",
}
_FACT_EXAMPLES: Mapping[str, Json] = {
    "outcomes": {"association_id": "A-1", "outcome": True, "known_at": "2026-03-01T10:00:00+01:00"},
    "interventions": {"association_id": "A-1", "acted": True},
    "verdicts": {"association_id": "A-1", "agrees": False, "reviewer": "ann", "reason": "known customer"},
    "events": {"kind": "contact", "association_id": "A-1", "facts": {"by": "phone"}},
}
_UUID7 = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_OWN_ID: Json = {"type": ["string", "null"], "pattern": f"^{_UUID7}$", "description": "a UUID of version 7"}
_NAME: Json = {"type": "string", "minLength": 1, "maxLength": 512}
_LONG_TEXT: Json = {"type": ["string", "null"], "maxLength": 4_000}
_FACT_TYPES: Mapping[str, Json] = {
    "fact_id": {"type": ["string", "null"], "pattern": f"^{_UUID7}$"},
    "prediction_id": {"type": ["string", "null"], "pattern": f"^{_UUID7}(:[0-9]{{1,6}})?$"},
    "kind": _NAME,
    "reviewer": _NAME,
    "note": _LONG_TEXT,
    "reason": _LONG_TEXT,
    "association_id": {"anyOf": [_NAME, {"type": ["integer", "null"]}]},
    "known_at": {"type": ["string", "null"], "format": "date-time"},
    "acted": {"type": "boolean"},
    "agrees": {"type": "boolean"},
    "facts": {"type": "object"},
}


def openapi_document(loadouts: Mapping[str, Loadout], *, url: str = URL) -> bytes:
    """Return the OpenAPI 3.1 document of a server.

    Parameters
    ----------
    loadouts : mapping of str to Loadout
        What decides now, by project.
    url : str
        Where the server was asked, without a path: the samples ask there.
    """
    paths: Json = dict(_server_paths())
    for project, loadout in loadouts.items():
        paths |= _project_paths(project, loadout)
    told = msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "servers": [{"url": URL}],
            "info": {"title": "Trueup prediction server", "version": __version__},
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
                "schemas": {"Error": _object({"error": _text(), "code": _text()}, required=["error", "code"])},
            },
        }
    )
    return told.replace(URL.encode(), url.encode())


def _server_paths() -> Json:
    live = _object({"live": {"type": "boolean"}}, required=["live"])
    ready = _object({"ready": {"type": "boolean"}}, required=["ready"])
    about = _object({"name": _text(), "version": _text()}, required=["name", "version"])
    return {
        "/v2": _get("/v2", "What this server is", about, token=False),
        "/v2/health/live": _get("/v2/health/live", "Whether it runs", live, token=False, python="client.health()"),
        "/v2/health/ready": _get(
            "/v2/health/ready", "Whether to send it requests", ready, token=False, python="client.health()"
        ),
        "/health/live": _get("/health/live", "Whether it runs", live, token=False, python="client.health()"),
        "/health/ready": _get(
            "/health/ready", "Whether to send it requests", ready, token=False, python="client.health()"
        ),
        "/openapi.json": _get("/openapi.json", "This document", {"type": "object"}, token=True),
        "/metrics": _get(
            "/metrics", "Metrics (Prometheus text format, or OpenMetrics where Accept asks for it)", None, token=True
        ),
    }


def _project_paths(project: str, loadout: Loadout) -> Json:
    model = f"/v2/models/{project}"
    ready = _object({"name": _text(), "ready": {"type": "boolean"}}, required=["ready"])
    about = _object(
        {"name": _text(), "versions": {"type": "array"}}, required=["name", "versions", "inputs", "outputs"]
    )
    row = example_row(loadout)
    tensors = [
        {"name": name, "shape": [1], "datatype": _datatype(value), "data": [value]} for name, value in row.items()
    ]
    paths = {
        f"/predict/{project}": _post(
            f"/predict/{project}",
            "Score and decide rows",
            _request_schema(loadout),
            {"rows": [row], "prediction_id": _ID, "reasons": 3},
            _object({"predictions": {"type": "array", "items": _prediction_schema()}}, required=["predictions"]),
            python=f"client.predict([{row!r}], reasons=3)",
        ),
        model: _get(model, "Tensors of the model", about, token=True, python="client.model()"),
        f"{model}/ready": _get(f"{model}/ready", "Whether the model answers", ready, token=False),
        f"{model}/infer": _post(
            f"{model}/infer",
            "Score and decide rows (Open Inference Protocol)",
            _inference_schema(),
            {"inputs": tensors},
            _object({"model_name": _text(), "outputs": {"type": "array"}}, required=["model_name", "outputs"]),
            python=f"client.infer({tensors!r})",
        ),
    }
    examples = {**_FACT_EXAMPLES, "outcomes": _FACT_EXAMPLES["outcomes"] | {"outcome": _example_outcome(loadout)}}
    for kind in KINDS:
        recorded = {"recorded": {"type": "integer"}, "fact_ids": {"type": "array", "items": _text()}}
        paths[f"/{kind}/{project}"] = _post(
            f"/{kind}/{project}",
            f"Record {kind}",
            _fact_schema(kind, project, loadout),
            examples[kind],
            _object(recorded, required=["recorded", "fact_ids"]),
            python=f"client.{kind}({KINDS[kind].__name__}({arguments(examples[kind])}))",
        )
    return paths


def example_row(loadout: Loadout) -> Json:
    """Return a row of the loaded schema."""
    known = {f.name: f.categories[0] for f in loadout.champion.reader.features if f.categories}
    return {name: known.get(name, _EXAMPLES.get(kind, "A-1")) for name, kind in loadout.champion.reader.schema.items()}


def _request_schema(loadout: Loadout) -> Json:
    reader = loadout.champion.reader
    kinds = {f.name: f.kind for f in reader.features}
    columns = {name: _VALUES[kinds[name]] if name in kinds else _ANY_VALUE for name in reader.schema}
    required = sorted({*kinds, *loadout.columns.required})
    row = {"type": "object", "properties": columns, "required": required, "additionalProperties": True}
    case = {"anyOf": [_NAME, {"type": ["integer", "null"]}]}
    return _object(
        {
            "rows": {"type": "array", "items": row, "minItems": 1, "maxItems": reader.most_rows},
            "prediction_id": _OWN_ID,
            "association_ids": {"type": ["array", "null"], "items": case},
            "reasons": {"type": "integer", "minimum": 0},
        },
        required=["rows"],
        closed=True,
    )


def _prediction_schema() -> Json:
    reason = _object({"feature": _text(), "effect": {"type": "number"}}, required=["feature", "effect"])
    flag = {"type": "boolean"}
    fields: Json = {
        "prediction_id": _text(),
        "association_id": {"type": ["string", "null"]},
        "score": {"type": ["number", "object", "null"]},
        "decision": {"type": ["boolean", "number", "string"]},
        "decision_by": _text(),
        "reason": _text(),
        "qualifies": flag,
        "model_version": _text(),
        "policy_version": _text(),
    }
    missing = {
        **_text(),
        "description": "The first field the row lacks. A row without a field of the schema is answered by the "
        "charter's fallback (reason fallback:missing_features), and with 422 where none is signed.",
    }
    return _object(
        {**fields, "missing": missing, "reasons": {"type": ["array", "null"], "items": reason}}, required=list(fields)
    )


def _inference_schema() -> Json:
    tensor = _object(
        {
            "name": _text(),
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"enum": sorted(DATATYPES)},
            "data": {"type": "array"},
        },
        required=["name", "shape", "datatype", "data"],
    )
    wanted = _object({"name": {"enum": list(OUTPUTS)}}, required=["name"])
    return _object(
        {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {"type": ["array", "null"], "items": wanted},
            "parameters": _object({"prediction_id": _OWN_ID}, required=[]) | {"type": ["object", "null"]},
        },
        required=["inputs"],
    )


def _example_outcome(loadout: Loadout) -> bool | float | str:
    if loadout.policy.task == "binary":
        return True
    return loadout.champion.classes[0] if loadout.policy.task == "multiclass" else 12.5


def _outcome_type(loadout: Loadout) -> Json:
    if loadout.policy.task == "multiclass":
        return {"enum": [*loadout.champion.classes, None]}
    return {"type": ["boolean" if loadout.policy.task == "binary" else "number", "null"]}


def _fact_schema(kind: str, project: str, loadout: Loadout) -> Json:
    record = KINDS[kind]
    types = {**_FACT_TYPES, "project": {"enum": [project, None]}, "outcome": _outcome_type(loadout)}
    forms = {**FORMS, "outcome": Answers(loadout.policy.task, loadout.champion.classes).told()}
    fields = {name: {**types[name], "description": forms[name]} for name in record.__struct_fields__}
    required = [field.name for field in msgspec.structs.fields(record) if field.required]
    fact = _object(fields, required=required, closed=True)
    return {"anyOf": [fact, {"type": "array", "items": fact, "minItems": 1, "maxItems": MOST_FACTS}]}


# --- building blocks


def _get(path: str, summary: str, answer: Json | None, *, token: bool, python: str = "") -> Json:
    content = (
        {"text/plain": {}, "application/openmetrics-text": {}}
        if answer is None
        else {"application/json": {"schema": answer}}
    )
    told = ["400", "401", "403", "404", "405", "408", "413", "415", "429", "431", "503"]
    return {
        "get": {
            "summary": summary,
            "security": [{"token": []}] if token else [],
            "responses": {"200": {"description": summary, "content": content}, **_refusals(told)},
            "x-codeSamples": code_samples(
                "GET", path, None, token=token, python=python or f'client.get("{path}").decode()'
            ),
        }
    }


def _post(path: str, summary: str, schema: Json, example: Json, answer: Json, *, python: str) -> Json:
    copied = {name: value for name, value in example.items() if name != "prediction_id"}  # everybody has their own
    return {
        "post": {
            "summary": summary,
            "security": [{"token": []}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema, "example": example}},
            },
            "responses": {
                "200": {"description": summary, "content": {"application/json": {"schema": answer}}},
                **_refusals(list(_REFUSALS)),
            },
            "x-codeSamples": code_samples("POST", path, copied, token=True, python=python),
        }
    }


def _refusals(statuses: list[str]) -> Json:
    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": _REFUSALS[status], "content": schema} for status in statuses}


def _object(properties: Json, *, required: list[str], closed: bool = False) -> Json:
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        **({"additionalProperties": False} if closed else {}),
    }


def _text() -> Json:
    return {"type": "string"}


def _datatype(value: object) -> str:
    return "BOOL" if isinstance(value, bool) else "FP64" if isinstance(value, float) else "BYTES"
