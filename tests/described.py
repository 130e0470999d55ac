"""Holds requests and answers against the OpenAPI description: whatever a test's Client sends and gets passes through here.

Two promises. An answer is as described: its status, its media type, its header fields, its body, and which problem it is. And
what was accepted (2xx) was described: its parameters and its body. A path that is described nowhere has no answer but 404
and 405. The description is made from this checkout; that the server gives out the same is a test of test_openapi.py.
"""
import functools
import gzip
import json
import pathlib
import re
import subprocess
import tempfile
import urllib.parse

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What every HTTP server says, or the library for it.
TRANSPORT = {"date", "content-length", "content-type", "content-encoding", "connection", "keep-alive", "transfer-encoding", "age"}
ENDS = 20  # of a long list, the first and the last so many are looked at


# What the library answers by itself, to what is hardly a request: a status, no problem, and the end.
BY_LIBRARY = (400, 408, 413, 414, 431, 501, 505)


class NotDescribed(AssertionError):
    pass


@functools.cache
def description():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([ROOT / "scripts" / "openapi", "test", f"{directory}/openapi.json"], check=True)
        return json.loads(pathlib.Path(directory, "openapi.json").read_text())


def resolved(value, whole=None):
    """Without references: each is replaced by its target, and what stands beside it."""
    whole = whole or description()
    if isinstance(value, list):
        return [resolved(one, whole) for one in value]
    if not isinstance(value, dict):
        return value
    found = {k: resolved(v, whole) for k, v in value.items() if k != "$ref"}
    if "$ref" in value:
        target = whole
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found = {**resolved(target, whole), **found}
    return found


def is_instant(value):
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", value))


class Operation:
    def __init__(self, path, method, item):
        self.path, self.method = path, method
        item = resolved(item)
        self.name = item["operationId"]
        self.item = item
        self.responses = item["responses"]
        self.parameters = {(p["in"], p["name"].lower() if p["in"] == "header" else p["name"]): p for p in item["parameters"]}
        self.body = item.get("requestBody", {}).get("content", {})
        self.pattern = re.compile(re.sub(r"\\\{\w+\\\}", "([^/]*)", re.escape(path)))
        self.validators = {}
        self.passed = set()  # bodies and fields that were right, so that the same ones cost nothing

    def validate(self, where, schema, value):
        validator = self.validators.get(where)
        if not validator:
            checker = jsonschema.FormatChecker(formats=())
            checker.checks("date-time")(is_instant)
            validator = self.validators[where] = jsonschema.Draft202012Validator(schema, format_checker=checker)
        fault = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if fault:
            raise NotDescribed(f"{self.name}, {where}: {fault.json_path}: {fault.message}")


@functools.cache
def operations():
    return [Operation(path, method.upper(), item) for path, items in description()["paths"].items() for method, item in items.items()]


def find(method, path):
    """The operation that answers; None. A fixed path comes before one with parts."""
    method = "GET" if method == "HEAD" else method
    for operation in operations():
        if operation.method == method and operation.pattern.fullmatch(path):
            return operation
    return None


def cut(value):
    """Long lists without their middle."""
    if isinstance(value, list):
        return [cut(v) for v in (value if len(value) <= 2 * ENDS else value[:ENDS] + value[-ENDS:])]
    if isinstance(value, dict):
        return {k: cut(v) for k, v in value.items()}
    return value


def from_text(text, schema):
    """What a parameter's text means, as its schema reads it."""
    kinds = schema.get("type", "string")
    if kinds == "array":
        return [from_text(item, schema.get("items", {})) for item in text.split(",")] if text else []
    if "integer" in kinds and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kinds == "number":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def check_request(operation, path, query, headers, body, answer):
    for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True):
        parameter = operation.parameters.get(("query", name))
        if not parameter:
            raise NotDescribed(f"{operation.name} took the parameter {name}")
        operation.validate(f"parameter {name}", parameter["schema"], from_text(text, parameter["schema"]))
    for (place, name), parameter in operation.parameters.items():
        if parameter.get("required") and place == "query" and name not in urllib.parse.parse_qs(query, keep_blank_values=True):
            raise NotDescribed(f"{operation.name} did without the parameter {name}")
    for name, part in zip(re.findall(r"\{(\w+)\}", operation.path), operation.pattern.fullmatch(path).groups()):
        operation.validate(f"path {name}", operation.parameters["path", name]["schema"], urllib.parse.unquote(part))
    for name, text in headers.items():
        parameter = operation.parameters.get(("header", name.lower()))
        if parameter:
            operation.validate(f"header {name}", parameter["schema"], text)
    if not operation.body:
        return
    media = next((headers[name] for name in headers if name.lower() == "content-type"), "").split(";")[0].lower()
    if media != "application/x-ndjson":
        coding = next((headers[name] for name in headers if name.lower() == "content-encoding"), "")
        value = json.loads(gzip.decompress(body) if "gzip" in coding else body)
        if operation.name == "submitScores":  # each item is taken or refused by itself
            results = json.loads(answer)["results"]
            refused = {result.get("item", at) for at, result in enumerate(results) if result["status"] != 200}
            value["scores"] = [item for at, item in enumerate(value["scores"]) if at not in refused]
        operation.validate("request body", operation.body["application/json"]["schema"], cut(value))


def check_headers(operation, response, headers):
    known = {name.lower(): one for name, one in response.get("headers", {}).items()}
    for name, value in headers.items():
        if name.lower() in TRANSPORT:
            continue
        if name.lower() not in known:
            raise NotDescribed(f"{operation.name}: the header field {name}: {value}")
        schema = known[name.lower()]["schema"]
        if schema != {"type": "string"} and (name, value) not in operation.passed:
            operation.validate(f"the header field {name}", schema, value)
            operation.passed.add((name, value))
    for name, one in known.items():
        if one.get("required") and name not in {h.lower() for h in headers}:
            raise NotDescribed(f"{operation.name}: the header field {name} is missing")


def check(method, target, sent_headers, sent_body, status, headers, body):
    """Raises NotDescribed. target: path and query. headers: a mapping. body: bytes; of HEAD, none."""
    path, _, query = target.partition("?")
    operation = find(method, path)
    if not operation:
        if not (status in (404, 405) or method == "OPTIONS" and status == 204 or status in (400, 408, 413, 414, 415, 417, 431, 503)):
            raise NotDescribed(f"{method} {path} is described nowhere, and answers {status}")
        return
    if status in BY_LIBRARY and "X-Content-Type-Options" not in headers and headers.get("Connection") == "close":
        return
    response = operation.responses.get(str(status))
    if not response:
        raise NotDescribed(f"{operation.name} answers {status}: {body[:500]!r}")
    check_headers(operation, response, headers)
    if 200 <= status < 300:
        check_request(operation, path, query, sent_headers, sent_body, body)
    media = headers.get("Content-Type", "").split(";")[0]
    content = response.get("content", {})
    if method == "HEAD" or status == 304:
        return
    if not content:
        if body:
            raise NotDescribed(f"{operation.name}, {status}: a body: {body[:200]!r}")
        return
    if media not in content:
        raise NotDescribed(f"{operation.name}, {status}: the media type {media}")
    if (status, media, hash(body)) in operation.passed or headers.get("Content-Encoding") == "br":  # which the client can't read
        return
    value = cut(json.loads(body)) if media.endswith("json") else body.decode()
    operation.validate(f"{status} {media}", content[media]["schema"], value)
    operation.passed.add((status, media, hash(body)))
