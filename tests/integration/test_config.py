"""Settings as an operator meets them: the file, the environment, and what `ladder config check` says of a mistake."""
import os
import pathlib
import re
import subprocess
import tempfile

import pytest

from harness import BINARY, ROOT

SHIPPED = ROOT / "config" / "ladder.yaml"
TABLE = ROOT / "src" / "conf" / "settings.tbl.h"


def ladder(*words, **environment):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LADDER_")}
    return subprocess.run([BINARY, *map(str, words)], env={**clean, **environment}, capture_output=True, text=True, timeout=20,
                          cwd="/", errors="strict")


@pytest.fixture
def tmp_path():
    """A short one: messages cut long names."""
    with tempfile.TemporaryDirectory(prefix="ladder-") as directory:
        yield pathlib.Path(directory)


@pytest.fixture
def write(tmp_path):
    def write(text, name="ladder.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


def check(path, status=1, **environment):
    done = ladder("config", "check", "--config", path, **environment)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def settings():
    """Every row of the table: kind, section, name, default, low, high, unit."""
    text = re.sub(r",\n\s+", ", ", TABLE.read_text().split("*/", 1)[1])
    rows = []
    for line in text.splitlines():
        if match := re.match(r'INT\((\w+), (\w+), (-?\d+), (-?\d+), (-?\d+), "([^"]*)", ', line):
            rows.append(("INT", match[1], match[2], *map(int, match.group(3, 4, 5)), match[6]))
        elif match := re.match(r'(TEXT|BOOL)\((\w+), (\w+), "?([^",]*)"?, ', line):
            rows.append((match[1], match[2], match[3], match[4], None, None, ""))
        elif match := re.match(r"(SECRET|LIST)\((\w+), (\w+), ", line):
            rows.append((match[1], match[2], match[3], "", None, None, ""))
    assert len(rows) == len(re.findall(r"^(?:INT|TEXT|BOOL|SECRET|LIST)\(", text, re.M)) > 30
    return rows


INTEGERS = [row for row in settings() if row[0] == "INT"]


def test_the_shipped_file():
    assert check(SHIPPED, 0) == "ok\n"
    shown = ladder("config", "show", "--config", SHIPPED).stdout.splitlines()
    assert len(shown) == len(settings())


@pytest.mark.parametrize("kind, section, name, fallback, low, high, unit", settings())
def test_every_setting_is_in_the_shipped_file(write, kind, section, name, fallback, low, high, unit):
    """Commented out with its default, in its section, the range above it; and it works when the comment sign is taken away."""
    text = SHIPPED.read_text()
    body = re.search(rf"^{section}:\n((?:  .*\n|\n)*)", text, re.M)[1]
    line = re.search(rf"^  # {name}: (.*)\n", body, re.M)
    assert line, f"{section}.{name} is not in {SHIPPED}"
    if kind == "INT":
        assert line[1] == str(fallback)
        above = body[:line.start()].replace("\n  # ", " ").splitlines()[-1]
        assert above.endswith(f"({low} to {high}{' ' + unit if unit else ''})"), above
    path = write(text.replace(line[0], line[0].replace("# ", "", 1), 1) if body.count(line[0]) == 1 and text.count(line[0]) == 1
                 else text.replace(body, body.replace(line[0], line[0].replace("# ", "", 1), 1), 1))
    assert check(path, 0) == "ok\n"


@pytest.mark.parametrize("kind, section, name, fallback, low, high, unit", INTEGERS)
def test_every_range(write, kind, section, name, fallback, low, high, unit):
    """Both ends are allowed; the next number out, and what is no number, is refused with file, line, key and range. The
    environment is checked equally."""
    variable = f"LADDER_{section}_{name}".upper()
    allowed = f"(allowed: {low} to {high}{' ' + unit if unit else ''})\n"
    for value in (low, high):
        path = write(f"\n{section}:\n  {name}: {value}\n")
        assert check(path, 0) == "ok\n"
        assert f"{section}.{name} = {value} " in ladder("config", "show", "--config", path).stdout
    for value in (low - 1, high + 1, "nonsense"):
        path = write(f"\n{section}:\n  {name}: {value}\n")
        assert check(path) == f'ladder config: {path}:3: {section}.{name}: "{value}" is not an integer of the range {allowed}'
        path = write("")
        assert check(path, **{variable: str(value)}) == f'ladder config: {variable}: {section}.{name}: "{value}" is not an integer of the range {allowed}'
    assert f"{section}.{name} = {high} " in ladder("config", "show", "--config", write(f"{section}: {{{name}: {low}}}\n"), **{variable: str(high)}).stdout


@pytest.mark.parametrize("value", ["", "1.0", "1e2", "0x10", "+1", "1_000", "1 000", "~", "null", "true", '" 16"', "99999999999999999999"])
def test_what_is_no_integer(write, value):
    assert ":2: server.connections_max: " in check(write(f"server:\n  connections_max: {value}\n"))


@pytest.mark.parametrize("name, text, line, words", [
    ("an unknown section", "log:\n  level: info\nsever:\n  port: 1\n", 3, "sever: there is no such section"),
    ("an unknown key", "server:\n  listen: 127.0.0.1\n  prot: 1\n", 3, "server.prot: there is no such setting"),
    ("a key of another section", "redis:\n  port: 1\n", 2, "redis.port: there is no such setting"),
    ("a key in capitals", "server:\n  Port: 1\n", 2, "server.Port: there is no such setting"),
    ("a key at the top", "port: 1\n", 1, "port: there is no such section"),
    ("a duplicate key", "server:\n  port: 1\n\n  port: 1\n", 4, "server.port: the setting is there twice"),
    ("a duplicate section", "server:\n  port: 1\nlog:\nserver:\n  loops: 1\n", 4, "the section is there twice"),
    ("a duplicate empty section", "server:\nserver:\n", 2, "the section is there twice"),
    ("a list for a value", "server:\n  port: [1]\n", 2, "server.port: must be one value"),
    ("a mapping for a value", "server:\n  port:\n    a: 1\n", 3, "server.port: must be one value"),
    ("a value for a list", "database:\n  replicas: a\n", 2, "database.replicas: must be a list"),
    ("a list in a list", "database:\n  replicas: [[a]]\n", 2, "a list holds texts only"),
    ("17 items", "database:\n  replicas: [" + "host=a," * 17 + "]\n", 2, "database.replicas: too many or too long items (allowed: 16 of up to 1023 bytes)"),
    ("a long item", "database:\n  replicas: [" + "a" * 1024 + "]\n", 2, "database.replicas: too many or too long items"),
    ("a long text", "server:\n  listen: " + "a" * 1024 + "\n", 2, "server.listen: the text is too long (allowed: up to 1023 bytes)"),
    ("a NUL in a text", 'server:\n  listen: "a\\0b"\n', 2, "server.listen: the text holds a NUL"),
    ("a short secret", "server:\n  secret: short\n", 2, "server.secret: the secret is too short (allowed: 16 bytes or more)"),
    ("a way to balance that is none", "database:\n  balance: fastest\n", 2, 'database.balance: "fastest" is none (allowed: round_robin, least_connections'),
    ("a long zone", "database:\n  zone: " + "z" * 32 + "\n", 2, "database.zone: the name is too long (allowed: up to 31 bytes)"),
    ("a commit that is none", "database:\n\n  synchronous_commit: off\n", 3, 'database.synchronous_commit: "off" is none (allowed: local,'),
    ("a bad replica", "database:\n  replicas:\n    - host=a\n    - weight=0 host=b\n", 4, 'database.replicas: "weight=0" is not a server'),
    ("a section that is a value", "server: 1\n", 1, "a section holds `name: value`"),
    ("a section that is a list", "server: [1]\n", 1, "a section holds `name: value`"),
    ("a section with a list for its name", "[a]: 1\n", 1, "a section's name must be a text"),
    ("a list at the top", "- server\n", 1, "the file holds `section:` with settings under it"),
    ("a text at the top", "server\n", 1, "the file holds `section:` with settings under it"),
    ("an anchor", "server: &a\n  port: 1\n", 1, "anchors are not allowed"),
    ("an alias", "server:\n  listen: *a\n", 2, "aliases are not allowed"),
    ("two documents", "server:\n  port: 1\n---\nlog:\n  level: info\n", 3, "the file holds more than one document"),
    ("a tab", "server:\n\tport: 1\n", 2, "not YAML: found character that cannot start any token"),
    ("an open bracket", "server:\n  port: 1\ndatabase: {\n", 4, "not YAML"),
    ("an open quote", 'server:\n  listen: "a\n', 3, "not YAML"),
    ("Latin-1", "server:\n  listen: ".encode() + b"\xfc\n", 1, "not YAML"),
    ("a control character", b"server:\n  listen: a\x01\n", 1, "not YAML"),
])
def test_mistakes_name_file_line_and_key(write, name, text, line, words):
    path = write(text)
    said = check(path)
    assert said.startswith(f"ladder config: {path}:{line}: ") and words in said and said.count("\n") == 1, said


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "server:\n", "server: {}\n", "server: {port: 1}\n", "\ufeffserver:\n  port: 1\n",
                                  "server:\r\n  port: 1\r\n", "database:\n  replicas: []\n", "database:\n  replicas:\n    - host=a\n    - name=b host=b\n"])
def test_what_is_allowed(write, text):
    assert check(write(text), 0) == "ok\n"


def test_files_that_can_not_be_read(write, tmp_path):
    assert check(tmp_path) == f"ladder config: {tmp_path}: cannot be read: Is a directory\n"
    assert check(tmp_path / "none") == f"ladder config: {tmp_path}/none: cannot be read: No such file or directory\n"
    assert check(write("#" * 65537)).endswith("the file is larger than 65536 bytes\n")
    assert check(write("#" * 65536), 0) == "ok\n"
    deep = write("[" * 30000)
    assert check(deep) == f"ladder config: {deep}: nested too deep\n"
    assert "No such file" in check_default(LADDER_CONFIG=str(tmp_path / "none"))


def check_default(**environment):
    done = ladder("config", "check", **environment)
    return done.stdout + done.stderr


def test_a_long_path_keeps_line_and_range(write):
    for size in (1, 60, 80, 100, 200, 250):
        said = check(write("\nserver:\n  uri_bytes_max: 1\n", "p" * size))
        assert said.endswith('p:3: server.uri_bytes_max: "1" is not an integer of the range (allowed: 256 to 65536 bytes)\n'), said


def test_a_value_that_is_cut_stays_utf8(write):
    for shift in range(4):
        said = check(write("server:\n  port: " + "a" * shift + "\U0001f3c6" * 40 + "\n"))  # decoded strictly
        assert "server.port: \"" + "a" * shift + "\U0001f3c6" * 9 in said and "(allowed: 0 to 65535)" in said
        check(write("server:\n  " + "a" * shift + "\U0001f3c6" * 40 + ": 1\n"))


def test_the_environment(write):
    path = write("server:\n  port: 1\n  secret: 0123456789abcdef-file\ndatabase:\n  replicas: [host=file]\nlog:\n  level: warn\n")

    def show(**environment):
        done = ladder("config", "show", "--config", path, **environment)
        assert done.returncode == 0, done.stderr
        return dict(line.split("  #")[0].split(" = ", 1) for line in done.stdout.splitlines())
    assert show()["server.port"] == "1" and show()["database.replicas"] == "host=file"
    shown = show(LADDER_SERVER_PORT="2", LADDER_DATABASE_REPLICAS="host=a,host=b,", LADDER_LOG_LEVEL="debug", LADDER_REDIS_URL="unix:///r.sock",
                 LADDER_KEY="none of ours", LADDER_URL="neither")
    assert shown["server.port"] == "2" and shown["database.replicas"] == "host=a,host=b" and shown["log.level"] == "debug"
    assert shown["redis.url"] == "unix:///r.sock"
    assert show(LADDER_DATABASE_REPLICAS="")["database.replicas"] == ""
    for environment, words in (
            (dict(LADDER_SERVER_PROT="1"), "LADDER_SERVER_PROT: there is no such setting"),
            (dict(LADDER_SERVER_PORT=""), 'LADDER_SERVER_PORT: server.port: "" is not an integer of the range (allowed: 0 to 65535)'),
            (dict(LADDER_SERVER_SECRET="short"), "LADDER_SERVER_SECRET: server.secret: the secret is too short (allowed: 16 bytes or more)"),
            (dict(LADDER_SERVER_LISTEN="a" * 1024), "LADDER_SERVER_LISTEN: server.listen: the text is too long (allowed: up to 1023 bytes)"),
            (dict(LADDER_DATABASE_REPLICAS="host=a," * 17), "LADDER_DATABASE_REPLICAS: database.replicas: too many or too long items")):
        assert words in check(path, **environment)


def test_secrets_are_not_shown(write):
    """Neither by show, nor by a complaint."""
    secret = "canary-0123456789abcdef"
    done = ladder("config", "show", "--config", write(f"server:\n  secret: {secret}\n"))
    assert "server.secret = ***" in done.stdout and "canary" not in done.stdout + done.stderr
    assert "canary" not in check(write("server:\n  secret: canary\n"))
    assert "canary" not in check(write(""), LADDER_SERVER_SECRET="canary")


@pytest.mark.parametrize("url, is_right", [
    ("redis://127.0.0.1:6379/0", True), ("redis://:word@127.0.0.1:6379/0", True), ("unix:///run/redis.sock?db=3", True), ("redis://h", True),
    ("http://h", False), ("redis://", False), ("redis://h:0", False), ("redis://h:65536", False), ("redis://h:x", False), ("redis://h/x", False),
    ("redis://user:word@h", False), ("redis://h/-1", False), ("unix://relative", False), ("unix:///a?dc=1", False), ("", False),
    ("redis://" + "h" * 256, False), ("redis://:" + "w" * 256 + "@h", False), ("unix:///" + "p" * 108, False)])
def test_redis_urls(write, url, is_right):
    said = check(write(f'redis:\n  url: "{url}"\n'), 0 if is_right else 1)
    assert said == "ok\n" if is_right else "redis" in said


def test_levels(write):
    for level in ("debug", "info", "warn", "error"):
        assert check(write(f"log: {{level: {level}}}\n"), 0) == "ok\n"
    assert check(write("log: {level: loud}\n")) .endswith('ladder.yaml:1: log.level: "loud" is not a level (allowed: debug, info, warn, error)\n')


@pytest.mark.parametrize("section, name, good, bad, reason", [
    ("server", "listen", ["127.0.0.1", "::1", "0.0.0.0"], ["localhost", "1.2.3", ""], "is not a numeric address (allowed: IPv4 or IPv6)"),
    ("database", "url", ["postgresql:///x", "host=h dbname=d", ""], ["mysql://h/x", "h", "postgresql://[h/x", "host=h nonsense=1"], "(allowed: postgresql://... or key=value words)"),
    ("redis", "url", ["redis://h", "redis-cluster://h", "redis-cluster://:pw@h:1,k:2", "redis-sentinel://h,k:3/name", "redis-sentinel://h/name/2",
                      "redis-sentinel://:pw@h/name?sentinel_password=p@w&?", "redis-sentinel://h/name/1?sentinel_user=u&sentinel_password=pw"],
     ["http://h", "", "redis-cluster://", "redis-cluster://h,", "redis-cluster://h/1", "redis-sentinel://h", "redis-sentinel://h/", "redis-sentinel://h/n/x", "redis-sentinel://h/n?sentinel_password=", "redis-sentinel://h/n?sentinel_user=u",
      "redis-sentinel://h/n?sentinel_user=&sentinel_password=w"], "not redis://[:password@]host:port[/db], unix:///path[?db=n], redis-cluster://[:password@]host:port,... or redis-sentinel://[:password@]host:port,.../name[/db]"),
    ("cache", "l2_url", ["redis://h", ""], ["http://h"], "not redis://[:password@]host:port[/db], unix:///path[?db=n], redis-cluster://[:password@]host:port,... or redis-sentinel://[:password@]host:port,.../name[/db]"),
    ("redis", "replicas", ["h", "10.0.0.1:6380"], ["h:x", ":1", "h:0"], "is not where a replica is (allowed: host[:port], or sentinels)"),
    ("edge", "servers", ["varnish+http://h:1"], ["ftp://h"], "is no URL of an edge: [varnish+]http[s]://host[:port][/path]"),
    ("log", "level", ["warn"], ["loud", ""], "is not a level (allowed: debug, info, warn, error)")])
def test_texts_are_checked_where_they_stand(write, section, name, good, bad, reason):
    """Of every setting that is not free text: the file, the line, the name, and what is allowed; likewise the variable."""
    form = '["{}"]' if name in ("servers", "replicas") else '"{}"'
    variable = f"LADDER_{section}_{name}".upper()
    for value in good:
        assert check(write(f"\n{section}:\n  {name}: {form.format(value)}\n"), 0) == "ok\n"
        assert check(write("", "empty.yaml"), 0, **{variable: value}) == "ok\n"
    for value in bad:
        path = write(f"\n{section}:\n  {name}: {form.format(value)}\n")
        said = check(path)
        assert re.sub(r".*/", "", said.split(" ")[2]) == "ladder.yaml:3:" and f" {section}.{name}: " in said and said.endswith(reason + "\n"), said
        said = check(write("", "empty.yaml"), **{variable: value})
        assert said.startswith(f"ladder config: {variable}: {section}.{name}: ") and said.endswith(reason + "\n"), said
        done = ladder("roll", "--config", path)
        assert done.returncode == 1 and f"{section}.{name}: " in done.stderr


def test_replicas_of_redis_fit_its_url(write):
    sentinels = 'url: "redis-sentinel://h/name"'
    assert check(write(f"redis:\n  {sentinels}\n  replicas: [sentinels]\n"), 0) == check(write(f"redis:\n  {sentinels}\n  replicas: [h, i]\n"), 0) == "ok\n"
    for url, replicas in (("redis://h", "sentinels"), ("redis-sentinel://h/name", "sentinels, h")):
        assert "redis.replicas: sentinels stands alone" in check(write(f'redis:\n  url: "{url}"\n  replicas: [{replicas}]\n'))
    assert "redis.replicas: not with a Redis Cluster" in check(write('redis:\n  url: "redis-cluster://h"\n  replicas: [h]\n'))


def test_passwords_are_not_shown(write):
    for url, shown in (("postgresql://u:hidden@h/db", "postgresql://u:***@h/db"), ("postgresql://u@h/db?password=hidden&x=y", None),
                       ("postgresql://u:hidden@h,i:2/db", "postgresql://u:***@h,i:2/db"), ("host=h password=hidden user=u", "host=h password=*** user=u"),
                       ("host=h password='hid hidden'", None), ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db")):
        done = ladder("config", "show", "--config", write(""), LADDER_DATABASE_URL=url, LADDER_DATABASE_REPLICAS=url.split(",")[0], LADDER_REDIS_URL="redis://:hidden@h:1/0")
        assert done.returncode == 0 or "x=y" in url, done.stderr
        assert "hidden" not in done.stdout, done.stdout
        assert shown is None or f"database.url = {shown}  #" in done.stdout
        assert done.returncode or "redis.url = redis://:***@h:1/0  #" in done.stdout


@pytest.mark.parametrize("url, shown", [
    ("redis-sentinel://:hidden@h/n?sentinel_password=hidden&hid", "redis-sentinel://:***@h/n?sentinel_password=***"),
    ("redis-sentinel://h/n?sentinel_user=u&sentinel_password=hid den", "redis-sentinel://h/n?sentinel_user=u&sentinel_password=***")])
def test_nor_those_of_sentinels(write, url, shown):
    done = ladder("config", "show", "--config", write(""), LADDER_REDIS_URL=url)
    assert "hid" not in done.stdout and f"redis.url = {shown}  #" in done.stdout, done.stdout + done.stderr


def test_usage():
    for words in (("config",), ("config", "nonsense"), ("config", "check", "more"), ("config", "check", "--nonsense"), ("config", "check", "--config")):
        assert ladder(*words).returncode == 2, words
    for words in (("config", "--help"), ("config", "-h"), ("--help",), ("-h",), ("help",)):
        done = ladder(*words)
        assert done.returncode == 0 and "usage: ladder " in done.stdout, words
    for command in ("roll", "partitions", "purge", "serve", "work"):
        done = ladder(command, "all")
        assert done.returncode == 2 and done.stderr == f'ladder {command}: "all" is one word too many (try --help)\n'


@pytest.mark.parametrize("url, words", (
    ("postgresql://h:port/db", "port must be from 1 to 65535"), ("postgresql://h:99999/db", "port must be from 1 to 65535"), ("host=h port=0", "port must be"),
    ("postgresql://h,i:5432,j:x/db", "port must be"), ("host=h,i port=1,2,3", 'has 2 hosts and 3 of "port"'),
    ("postgresql://u:secret@word@h/db", 'host holds an "@"'), ("postgresql://h/db?sslmode=bogus", "sslmode must be disable, allow"),
    ("postgresql://h/db?connect_timeout=soon", "connect_timeout must be an integer"), ("host=h target_session_attrs=rw", "target_session_attrs must be any"),
    ("postgresql//h/db", "is not one that libpq understands"), ("secret", "is not one that libpq understands"), ("hots=h", "is not one that libpq understands")))
def test_connection_strings_that_libpq_would_refuse(write, url, words):
    """When it connects, and so too late; and no part of a password is shown."""
    for text, name in ((f'database:\n  url: "{url}"\n', "database.url"), (f'database:\n  replicas: ["{url}"]\n', "database.replicas")):
        said = check(write(text))
        assert f":2: {name}: the connection string of " in said and words in said, said
        assert "secret" not in said and "word@" not in said
    assert "LADDER_DATABASE_URL: database.url: " in check(write(""), LADDER_DATABASE_URL=url)


@pytest.mark.parametrize("url", ("", "postgresql://", "host=/tmp", "host=@abstract", "postgresql://u:p%40ss@h:1/db?sslmode=verify-full&connect_timeout=3",
                                 "postgresql://[::1]:5432/db", "postgresql://h,i:5433,j/db?target_session_attrs=read-write", "host=h,i port=5432", "host=h,i port=1,2"))
def test_connection_strings_that_are_fine(write, url):
    assert check(write(f'database:\n  url: "{url}"\n'), 0) == "ok\n"


def test_a_secret_that_is_missing_is_said(write):
    """serve does not start without it, work does."""
    for text in ("", 'server:\n  secret: ""\n'):
        done = ladder("config", "check", "--config", write(text))
        assert (done.returncode, done.stdout) == (0, "ok\n") and "server.secret is not set: ladder serve does not start without it" in done.stderr
    done = ladder("config", "check", "--config", write("server:\n  secret: 0123456789abcdef\n"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
