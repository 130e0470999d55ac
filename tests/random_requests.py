"""Random requests out of the OpenAPI description: most as it says, some just beside it, some far off.

A request is described by what it is made of, so that a failure can be sent again: (method, target, headers, body).
"""
import json
import random
import string
import urllib.parse

import described

ODD_TEXTS = ["", " ", "\0", "\x7f", "'", '"', "\\", "%", "%00", "../..", "a" * 65, "a" * 5000, "💥", "\u202e", "\ud7ff", "é" * 33, "null", "-0", "1e400",
             "0x10", "9223372036854775808", "-9223372036854775809", "1.5", "+5", "NaN", ",", ",,", "a,,b", '"', '"a', "2026-13-01T00:00:00Z",
             "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "{}", "[]", "true", "{{7*7}}", "' or 1=1 --", "$1", "a\nb", "\r\nX: y"]
ODD_VALUES = [None, True, False, 0, -1, 1.5, 1e308, 2**63, -2**63 - 1, 2**64, 10**40, "", "x", "1", [], [[]], {}, {"a": None}, [None], "\0",
              "a" * 3000, {"": ""}, [[[[[[[[[[]]]]]]]]]]]
EDGES = [-2**63, 2**63 - 1, 0, -1, 1, 2**53, 2**53 + 1]


class Maker:
    """names: what there is, so that some requests meet it."""

    def __init__(self, seed, boards, players, cursors, tokens, instants):
        self.random = random.Random(seed)
        self.known = {"board": boards, "name": boards, "player": players, "cursor": cursors, "Ladder-Token": tokens, "period": instants, "at": instants,
                      "ids": [",".join(players), '"a,b",x'], "queries": ["/boards/one/top?limit=2", "/boards/two/periods", "/boards", "/nothing"]}

    def chance(self, one_in):
        return self.random.randrange(one_in) == 0

    # -- values --

    def odd_text(self):
        if self.chance(3):
            return "".join(chr(self.random.choice([self.random.randrange(32, 127), self.random.randrange(0x10FFFF)])) for _ in range(self.random.randrange(1, 40))
                           ).encode("utf-8", "ignore").decode()
        return self.random.choice(ODD_TEXTS)

    def text(self, schema, name):
        if self.known.get(name) and not self.chance(10):
            return self.random.choice(self.known[name])
        low, high = schema.get("minLength", 0), min(schema.get("maxLength", 12), 80)
        letters = string.ascii_letters + string.digits
        return "".join(self.random.choice(letters) for _ in range(self.random.randint(max(low, 1), max(high, 1))))

    def number(self, schema):
        low, high = schema.get("minimum", -1000), schema.get("maximum", 1000)
        wanted = self.random.choice([low, high, self.random.randint(int(low), int(high)), self.random.choice(EDGES), self.random.randint(-9, 99)])
        return min(max(wanted, low), high)

    def value(self, schema, name=""):
        """One that the schema allows, as far as can be told without trying."""
        for word in ("anyOf", "oneOf"):
            if word in schema and "properties" not in schema:
                return self.value(self.random.choice(schema[word]), name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        kinds = schema.get("type", "string")
        kind = kinds if isinstance(kinds, str) else self.random.choice(kinds)
        if kind == "array":
            items = [self.value(schema["items"], name) for _ in range(self.random.randint(max(1, schema.get("minItems", 0)), 4))]
            return list({json.dumps(i): i for i in items}.values()) if schema.get("uniqueItems") else items
        if kind == "object":
            return self.object(schema)
        if kind in ("integer", "number"):
            return self.number(schema)
        if kind == "boolean":
            return self.chance(2)
        if kind == "null":
            return None
        if isinstance(kinds, list) and "integer" in kinds:
            return str(self.number(schema))
        return self.text(schema, name)

    def object(self, schema):
        if "properties" not in schema:
            return {self.text({}, ""): self.random.choice(ODD_VALUES[:12]) for _ in range(self.random.randrange(3))}
        needed = schema.get("required", [])
        return {name: self.value(one, name) for name, one in schema["properties"].items() if name in needed or self.chance(3)}

    def spoil(self, value):
        """The same with something odd in it."""
        if isinstance(value, dict) and value and not self.chance(4):
            name = self.random.choice(list(value))
            kind = self.random.randrange(4)
            if kind == 0:
                return {k: v for k, v in value.items() if k != name}
            if kind == 1:
                return {**value, self.odd_text(): self.random.choice(ODD_VALUES)}
            return {**value, name: self.spoil(value[name])}
        if isinstance(value, list) and value and not self.chance(4):
            at = self.random.randrange(len(value))
            return value[:at] + [self.spoil(value[at])] + value[at + 1:]
        return self.odd_text() if self.chance(3) else self.random.choice(ODD_VALUES)

    # -- requests --

    def parameter(self, parameter):
        schema = parameter["schema"]
        value = self.value(schema, parameter["name"])
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    def request(self, game, wanted=()):
        """wanted: names of operations that shall come more often."""
        operation = self.random.choice(described.operations())
        if wanted and self.chance(2):
            name = self.random.choice(wanted)
            operation = next(o for o in described.operations() if o.name == name)
        headers, query, path = {}, [], operation.path.replace("{game}", game)
        for (place, name), parameter in operation.parameters.items():
            if place == "path" and name != "game":
                text = self.parameter(parameter) if not self.chance(12) else self.odd_text()
                path = path.replace("{%s}" % name, urllib.parse.quote(text, safe=""))
            if place == "query" and (parameter.get("required") and not self.chance(20) or self.chance(4)):
                query.append((name, self.parameter(parameter) if not self.chance(6) else self.odd_text()))
            if place == "header" and self.chance(12):
                text = self.parameter(parameter) if not self.chance(4) else self.odd_text()
                headers[parameter["name"]] = "".join(c for c in text if 32 <= ord(c) < 127).strip()
        if self.chance(25):
            query.append((self.odd_text(), self.odd_text()))
        if query and self.chance(25):
            query.append(query[0])
        body = self.body(operation, headers) if operation.body else b""
        method = operation.method if not self.chance(30) else self.random.choice(["HEAD", "OPTIONS", "GET", "PUT", "POST", "PATCH", "DELETE"])
        if method not in ("PUT", "POST", "PATCH"):
            body = b""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        return method, target, headers, body

    def body(self, operation, headers):
        media = self.random.choice(list(operation.body))
        headers["Content-Type"] = media if not self.chance(40) else self.random.choice(["text/plain", "application/json; charset=latin1", "a/b/c", ""])
        if media == "application/json":
            value = self.value(operation.body[media]["schema"])
            for _ in range(self.random.choice([0, 0, 0, 1, 1, 2])):
                value = self.spoil(value)
            text = json.dumps(value, ensure_ascii=self.chance(2)).encode("utf-8", "surrogatepass")
        else:
            item = described.find("POST", "/v1/games/g/scores").body["application/json"]["schema"]["properties"]["scores"]["items"]
            lines = [self.value(item) for _ in range(self.random.randrange(4))]
            text = b"\n".join(json.dumps(self.spoil(line) if self.chance(3) else line).encode() for line in lines)
        if text and self.chance(20):
            at = self.random.randrange(len(text))
            text = text[:at] + self.random.choice([b"", b"\0", b"\xff", b"}", b'"', b"\\u0000"]) + text[at + self.random.randrange(2):]
        return text
