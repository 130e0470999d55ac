"""What every refusal looks like, held in one place."""
import re

TABLE = re.compile(r'^ERROR\((\w+), (\d+), "([a-z-]+)", "([^"]+)"\)', re.M)


def problems():
    """slug -> (status, title), as the program's own table has them."""
    from harness import ROOT
    text = (ROOT / "src" / "base" / "error.tbl.h").read_text()
    return {slug: (int(status), title) for _, status, slug, title in TABLE.findall(text.replace("\n      ", " "))}


def problem_is(body, slug, field=None):
    """The members of RFC 9457, and the field if one is to blame: "/pointer" into the body, or a parameter's name."""
    status, title = problems()[slug]
    assert body["type"] == f"urn:ladder:problem:{slug}", body
    assert (body["status"], body["title"]) == (status, title), body
    assert isinstance(body["detail"], str) and body["detail"], body
    assert set(body) <= {"type", "title", "status", "detail", "errors"}, body
    if field is not None:
        (error,) = body["errors"]
        assert error.get("pointer" if field.startswith("/") else "parameter") == field, body
        assert set(error) == {"pointer" if field.startswith("/") else "parameter", "detail"} and error["detail"], body
    return status


def refused(answer, slug, field=None):
    """The answer is exactly this problem."""
    assert answer.headers["Content-Type"] == "application/problem+json", (answer.status_code, answer.text)
    status = problem_is(answer.json(), slug, field)
    assert answer.status_code == status, answer.text
    assert ("WWW-Authenticate" in answer.headers) == (status == 401), answer.headers
    assert "no-store" in answer.headers["Cache-Control"], answer.headers
    return answer
