"""A strict reading of HTTP/1.1 requests (RFC 9112, RFC 9110, RFC 3986): what a byte string says, without a network.

`read(data)` returns one Request for each request that the bytes begin. A request's `kind` is

  valid       a server must take it; `refusable` says why ladder may refuse it nevertheless (a limit, a method, …)
  invalid     `reason` says what is wrong; nothing behind it can be trusted
  incomplete  the bytes end before the request does

A reason is a short fixed text, so that a runner can say which reasons it tolerates.
"""
import ipaddress
import re
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
PCHAR = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
PATH = rb"(?:/" + PCHAR + rb"*)+"
QUERY = rb"(?:\?(?:" + PCHAR + rb"|[/?])*)?"
REG_NAME = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
EXTENSION = rb"(?:[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + QUOTED + rb"))?)*"
METHODS = {b"GET", b"HEAD", b"PUT", b"POST", b"PATCH", b"DELETE", b"OPTIONS"}
FIELDS_MAX, HEADER_MAX, TARGET_MAX, BODY_MAX = 64, 8192, 2048, 1 << 20  # no more need be taken
TRAILERS_REFUSED = {b"content-length", b"transfer-encoding", b"host", b"content-type", b"authorization", b"content-encoding",
                    b"expect", b"idempotency-key", b"connection", b"trailer", b"cookie", b"ladder-token"}
SINGLE = {b"content-type", b"authorization", b"idempotency-key", b"range", b"if-modified-since", b"if-unmodified-since",
          b"content-encoding", b"ladder-token", b"expect"}


@dataclass
class Request:
    kind: str
    reason: str = ""
    refusable: str = ""
    method: bytes = b""
    closes: bool = False
    end: int = 0


class Invalid(Exception):
    pass


class Incomplete(Exception):
    pass


def line_at(data, at, where=""):
    """The line that begins there and where the next one does; only CR LF ends a line."""
    end = data.find(b"\n", at)
    if end < 0:
        if len(data) - at > 100_000:
            raise Invalid("a line without an end")
        raise Incomplete
    if end > at and data[end - 1] == 0:
        raise Invalid("NUL LF")
    if end == at or data[end - 1:end] != b"\r":
        raise Invalid("a bare LF" + where)
    return data[at:end - 1], end + 1


def is_host(text):
    match = re.fullmatch(rb"(\[[^\]]*\]|" + REG_NAME + rb")(?::(\d*))?", text)
    if not match or int(match[2] or 0) > 65535:
        return False
    if match[1].startswith(b"["):
        try:
            ipaddress.IPv6Address(match[1][1:-1].decode("latin-1"))
        except ValueError:
            return False
        return b"%" not in match[1]
    return True


def check_target(method, target):
    """Why ladder may refuse a valid target, or ""; raises Invalid."""
    if target == b"*" and method == b"OPTIONS":
        return ""
    if method == b"CONNECT":
        if not re.fullmatch(rb"(\[[^\]]*\]|" + REG_NAME + rb"):\d+", target):
            raise Invalid("target")
        return "authority form"
    absolute = re.fullmatch(rb"(?i:https?)://([^/?#]*)(/[^#]*|\?[^#]*)?", target)
    if absolute:
        if not is_host(absolute[1]) or absolute[1][:1] in (b"", b":"):
            raise Invalid("target")
        target = absolute[2] or b"/"
        target = target if target.startswith(b"/") else b"/" + target
    if not re.fullmatch(PATH + QUERY, target):
        # Characters that RFC 3986 does not allow, but that clients send: RFC 9112 section 3.2 lets a server be lenient.
        if re.fullmatch(rb"/(?:[\x21-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*", target):
            return "characters in the target"
        if re.match(rb"[A-Za-z][A-Za-z0-9+.\-]*:", target):
            return "another scheme"
        raise Invalid("target")
    path = target.partition(b"?")[0]
    if re.search(rb"//|/\.{1,2}(/|$)|%00", target if b"%00" in target else path):
        return "segments"
    return ""


def fields_at(data, at, where=""):
    fields = []
    while True:
        line, at = line_at(data, at, where)
        if not line:
            return fields, at
        name, colon, value = line.partition(b":")
        if not colon or not re.fullmatch(TOKEN, name):
            raise Invalid("a field line" + where)
        value = value.strip(b" \t")
        if not re.fullmatch(rb"[\t\x20-\x7e\x80-\xff]*", value):
            raise Invalid("a field value" + where)
        fields.append((name.lower(), value))


def chunks_end(data, at):
    """Where a chunked body with its trailers ends, and why ladder may refuse it."""
    total = 0
    while True:
        line, at = line_at(data, at, " around a chunk's size")
        match = re.match(rb"([0-9A-Fa-f]+)", line)
        if not match:
            raise Invalid("a chunk's size")
        size = int(match[1], 16)
        if size >= 1 << 64:
            raise Invalid("a chunk's size")
        if not re.fullmatch(EXTENSION, line[match.end():]):
            raise Invalid("a chunk extension" if line[match.end():match.end() + 1] == b";" else "a chunk's size")
        if size == 0:
            break
        total += size
        if at + size + 2 > len(data):
            if at + size < len(data) and data[at + size:at + size + 1] != b"\r":
                raise Invalid("a chunk's end")
            raise Incomplete
        if data[at + size:at + size + 2] != b"\r\n":
            raise Invalid("a bare LF around a chunk's size" if data[at + size:at + size + 1] == b"\n" else "a chunk's end")
        at += size + 2
    trailers, at = fields_at(data, at, " in a trailer")
    if any(name in TRAILERS_REFUSED or b"_" in name for name, _ in trailers):
        return at, "a trailer field"
    return at, "a long body" if total > BODY_MAX else ""


def framing(fields, version):
    """("none" | "length" | "chunked", the length, why ladder may refuse it)."""
    codings = b",".join(value for name, value in fields if name == b"transfer-encoding")
    has_coding = any(name == b"transfer-encoding" for name, _ in fields)
    lengths = [value for name, value in fields if name == b"content-length"]
    if has_coding:
        if version == b"HTTP/1.0" or lengths:
            raise Invalid("framing")
        names = [coding.strip(b" \t").lower() for coding in codings.split(b",")]
        if names == [b"chunked"]:
            return "chunked", 0, ""
        if names[-1] != b"chunked" or names.count(b"chunked") > 1 or not all(re.fullmatch(TOKEN, name) for name in names):
            raise Invalid("framing")
        return "chunked", 0, "a transfer coding"
    if lengths:
        values = {item.strip(b" \t") for value in lengths for item in value.split(b",")}
        if len(values) > 1 or not re.fullmatch(rb"\d+", min(values)):
            raise Invalid("framing")
        length = int(min(values))
        refusable = "lengths" if len(lengths) > 1 or b"," in lengths[0] or len(lengths[0]) > 15 else ""
        return "length", length, refusable or ("a long body" if length > BODY_MAX else "")
    return "none", 0, ""


def check_host(fields, version):
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (version != b"HTTP/1.0" and not hosts):
        raise Invalid("Host")
    if hosts and not is_host(hosts[0]):
        raise Invalid("Host")


def field_limits(fields):
    names = [name for name, _ in fields]
    if len(fields) > FIELDS_MAX:
        return "many fields"
    if any(b"_" in name for name in names):
        return "an underscore in a field name"
    if any(names.count(name) > 1 for name in SINGLE):
        return "a single field twice"
    if any(name == b"expect" for name in names):
        return "an expectation"
    return ""


def one(data, at):
    """The request that begins there."""
    while data.startswith(b"\r\n", at):
        at += 2
    if data.startswith(b"\n", at):
        raise Invalid("an empty line that ends in LF")
    line, after = line_at(data, at)
    match = re.fullmatch(rb"(" + TOKEN + rb") ([^ ]+) (HTTP/\d\.\d)", line)
    if not match:
        raise Invalid("the request line")
    method, target, version = match.groups()
    if not version.startswith(b"HTTP/1."):
        raise Invalid("the version")
    refusable = [check_target(method, target)]
    fields, after = fields_at(data, after)
    check_host(fields, version)
    kind, length, why = framing(fields, version)
    refusable += [why, field_limits(fields), "a long header" if after - at > HEADER_MAX or len(target) > TARGET_MAX else ""]
    if method not in METHODS:
        refusable.append("a method")
    if (kind == "chunked" or length > 0) and method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
        refusable.append("a body")
    reasons = [reason for reason in refusable if reason]
    request = Request("valid", refusable=reasons[0] if reasons else "", method=method)
    options = {option.strip(b" \t").lower() for name, value in fields if name == b"connection" for option in value.split(b",")}
    request.closes = b"close" in options or (version == b"HTTP/1.0" and b"keep-alive" not in options)
    try:
        if kind == "chunked":
            request.end, why = chunks_end(data, after)
            request.refusable = request.refusable or why
        else:
            request.end = after + length
            if request.end > len(data):
                raise Incomplete
    except Incomplete:
        request.kind = "incomplete"
    except Invalid as invalid:
        request.kind, request.reason = "invalid", str(invalid)
    return request


def read(data):
    requests, at = [], 0
    while at < len(data) and data[at:].strip(b"\r\n"):
        method = data[at:].lstrip(b"\r\n").partition(b" ")[0]
        try:
            request = one(data, at)
        except Incomplete:
            request = Request("incomplete", method=method)
        except Invalid as invalid:
            request = Request("invalid", reason=str(invalid), method=method)
        requests.append(request)
        if request.kind != "valid" or request.closes or request.refusable:
            break  # nothing behind it is sure to be read
        at = request.end
    return requests or [Request("incomplete" if not data.strip(b"\r\n") else "invalid", reason="no request")]
