"""The report of loadtest/run: a table for the terminal, and one HTML file that needs nothing else."""
import html
import math

COLOURS = {"serve": "#2563eb", "redis": "#dc2626", "postgres": "#059669", "work": "#9333ea"}
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667085; --line: #d0d5dd; --paper: #fff; --card: #f8fafc; --good: #067647; --bad: #b42318 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #98a2b3; --line: #344054; --paper: #0d1117; --card: #161b22; --good: #47cd89; --bad: #f97066 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.7rem } h2 { margin: 2.5rem 0 .3rem; font-size: 1.25rem } p { margin: .2rem 0 1rem; color: var(--soft); max-width: 60rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: 1rem 0 }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap } th:first-child, td:first-child { text-align: left }
th { font-weight: 600; color: var(--soft) } .wide { overflow-x: auto }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(21rem, 1fr)); gap: 1rem }
figure { margin: 0; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem } figcaption { font-size: .9rem; color: var(--soft) }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--soft); font: 11px system-ui, sans-serif } .grid { stroke: var(--line); stroke-width: .6 }
pre { overflow-x: auto; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; font-size: .85rem }
.checks { list-style: none; padding: 0 } .good::before { content: "✓ "; color: var(--good) } .bad { color: var(--bad) } .bad::before { content: "✗ " }
"""


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def cell(result, *path):
    for name in path:
        result = (result or {}).get(name)
    return result


ROWS = ("scenario", "requests/s", "at", "p50 ms", "p99 ms", "p99.9 ms", "serve µs", "redis µs", "postgres µs", "hits", "queries")


def rows(report):
    for name, result in report["scenarios"].items():
        of = cell(result, "capacity") or cell(result, "latency") or {}
        cpu = of.get("cpu_us", {})
        hits = of.get("hit_ratio")
        yield (name, number(cell(result, "capacity", "rate")), number(cell(result, "latency", "asked")), number(cell(result, "latency", "ms", "50"), 2),
               number(cell(result, "latency", "ms", "99"), 2), number(cell(result, "latency", "ms", "99.9"), 2), number(cpu.get("serve"), 1),
               number(cpu.get("redis"), 1), number(cpu.get("postgres"), 1), "" if hits is None else f"{hits:.3f}", number(of.get("queries"), 3))


def table(report, width=120):
    """For people at a terminal, then each promise."""
    lines = [ROWS, *rows(report)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(ROWS))]
    text = ["  ".join(value.ljust(widths[i]) if i == 0 else value.rjust(widths[i]) for i, value in enumerate(line)) for line in lines]
    text.insert(1, "-" * min(width, len(text[0])))
    for name, result in report["scenarios"].items():
        text += ["", result["text"]] if result.get("text") else []
        text += [f"{'ok ' if x['held'] else 'NO '} {name}: {x['promise']}: {x['seen']}" for x in result["checks"]]
    return "\n".join(text)


def markdown(report, names):
    """The same for docs/, of these scenarios."""
    made = f"Made by `loadtest/run {' '.join(names)}` on {report['made'][:10]} ({report['machine']}; servers and generators on the same machine, load average {report['load']})."
    lines = [made, ""]
    some = [row for row in rows(report) if row[0] in names and any(row[1:])]
    if some:
        lines += ["| " + " | ".join(ROWS) + " |", "|" + "---|" * len(ROWS), *("| " + " | ".join(row) + " |" for row in some), ""]
    for name in names:
        result = report["scenarios"][name]
        text = result.get("docs") or result.get("text")
        lines += [text, ""] if text else []
        lines += [f"- {name}: {x['promise']}: {x['seen']}{'' if x['held'] else ' (**not held**)'}" for x in result["checks"]]
    return "\n".join(lines) + "\n"


PICTURED = "mixed"
BY_NAME_ONLY = ("soak", "peers", "ablation")
OWN_MARKS = (*BY_NAME_ONLY, "stampede", "stress")


def write(document_write, folder, report):
    """Some have marks of their own (peers: what it has beyond loadtest/caches), the rest share one. And the charts of one scenario."""
    if PICTURED in report["scenarios"]:
        (folder / "loadtest.svg").write_text(picture(report["scenarios"][PICTURED]))
    marks = {}
    for name in report["scenarios"]:
        marks.setdefault(name if name in OWN_MARKS else "run", []).append(name)
    for mark, names in marks.items():
        document_write(mark, markdown(report, names))


# ---- charts ----

def nice(top):
    """A round number that is not below."""
    if top <= 0:
        return 1
    size = 10 ** math.floor(math.log10(top))
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= top)


def short(value):
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


WIDTH, HEIGHT = 420, 200


def chart(title, lines, unit, x_ticks=None):
    """lines: name -> [(x, y)], drawn in one frame that starts at 0. x_ticks: [(x, text)]. Returns the title, the unit, the names with their
    colours, and what goes into an <svg> of WIDTH and HEIGHT; None if there is nothing to draw."""
    lines = {name: [(x, y) for x, y in points if y is not None] for name, points in lines.items()}
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        return None
    left, bottom, top_gap = 44, 24, 8
    most_x = max(x for points in lines.values() for x, _ in points) or 1
    most_y = nice(max(y for points in lines.values() for _, y in points))

    def at(x, y):
        return f"{left + (WIDTH - left - 8) * x / most_x:.1f},{top_gap + (HEIGHT - bottom - top_gap) * (1 - y / most_y):.1f}"
    parts, names = [], []
    for step in range(5):
        y = most_y * step / 4
        place = at(0, y).split(",")[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - 8}" y1="{place}" y2="{place}"/><text x="{left - 6}" y="{place}" dy="4" text-anchor="end">{short(y)}</text>')
    for x, text in x_ticks or [(most_x * step / 4, f"{most_x * step / 4:.3g}") for step in range(5)]:
        parts.append(f'<text x="{at(x, 0).split(",")[0]}" y="{HEIGHT - 6}" text-anchor="middle">{text}</text>')
    for i, (name, points) in enumerate(lines.items()):
        names.append((name, COLOURS.get(name, ("#2563eb", "#dc2626", "#059669", "#9333ea")[i % 4])))
        parts.append(f'<polyline fill="none" stroke="{names[-1][1]}" stroke-width="1.6" points="{" ".join(at(*point) for point in points)}"/>')
    return title, unit, names if len(names) > 1 else [], "".join(parts)


def figure(drawn):
    title, unit, names, inner = drawn
    legend = " · ".join(f'<span style="color:{colour}">{html.escape(name)}</span>' for name, colour in names)
    return (f'<figure><figcaption>{html.escape(title)}, {html.escape(unit)} {legend}</figcaption>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">{inner}</svg></figure>')


def picture(result):
    """The charts of one scenario side by side, as a file of their own."""
    drawn = charts(result)
    wide, high = WIDTH + 30, HEIGHT + 50
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * wide + 30} {(len(drawn) + 2) // 3 * high + 50}">',
             '<style>text { fill: #475467; font: 11px system-ui, sans-serif } .grid { stroke: #d0d5dd; stroke-width: .6 } .title { font-size: 13px }</style>'
             f'<rect width="100%" height="100%" fill="#fff"/><text class="title" x="30" y="28">{html.escape(result["title"])}: {html.escape(result["about"])}</text>']
    for i, (title, unit, names, inner) in enumerate(drawn):
        legend = "".join(f'<tspan fill="{colour}" dx="8">{html.escape(name)}</tspan>' for name, colour in names)
        parts.append(f'<g transform="translate({30 + i % 3 * wide},{50 + i // 3 * high})"><text x="8" y="12">{html.escape(title)}, {html.escape(unit)}{legend}</text>'
                     f'<g transform="translate(0,16)">{inner}</g></g>')
    return "".join(parts) + "</svg>\n"


def charts(result):
    """What there is to draw of one scenario."""
    series, latency = result.get("series") or [], result.get("latency") or {}
    hdr = latency.get("hdr") or []
    # 1 / (1 - p), as HDR plots have it: each step to the right is a nine more.
    points = [(math.log10(1 / (1 - mark / 100)), ms) for mark, ms in hdr]
    groups = sorted({name for x in series for name in x["cpu"]})
    steps = result.get("steps") or []
    return [drawn for drawn in (
        chart("Latency over time", {p: [(x["at"], x[p]) for x in latency.get("series", [])] for p in ("p50", "p99")}, "ms"),
        chart("Latency by percentile", {"latency": points}, "ms", x_ticks=[(math.log10(1 / (1 - m / 100)), f"{m:g}") for m in (0, 90, 99, 99.9, 99.99)]),
        chart("Processor by process", {name: [(x["at"], x["cpu"].get(name)) for x in series] for name in groups}, "cores"),
        chart("Requests", {"rate": [(x["at"], x["rate"]) for x in series]}, "a second"),
        chart("Answers from memory", {"hits": [(x["at"], x["hit"]) for x in series]}, "share"),
        chart("Queries at PostgreSQL", {"queries": [(x["at"], x["queries"]) for x in series]}, "a second"),
        chart("Latency by rate", {p: [(x["rate"], x[p]) for x in steps] for p in ("p50", "p99")}, "ms over requests/s"),
        chart("Memory", {"serve": [(x, kb / 1024) for x, kb in result.get("memory") or []]}, "MiB over million requests")) if drawn]


def section(name, result):
    peer = result.get("peer")
    checks = "".join(f'<li class="{"good" if x["held"] else "bad"}">{html.escape(x["promise"])}: {html.escape(x["seen"])}</li>' for x in result["checks"])
    text = f"<pre>{html.escape(result['text'])}</pre>" if result.get("text") else ""
    beside = f"<p>Beside {html.escape(peer['name'])}: {number(peer['rate'])} a second, so {peer['ratio']} times.</p>" if peer else ""
    return (f'<section id="{html.escape(name)}"><h2>{html.escape(result["title"])}</h2><p>{html.escape(result["about"])}</p>{beside}'
            f'<ul class="checks">{checks}</ul>{text}<div class="charts">{"".join(map(figure, charts(result)))}</div></section>')


def page(report):
    """The whole file."""
    head = "".join(f"<th>{html.escape(x)}</th>" for x in ROWS)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(x)}</td>" for x in row) + "</tr>" for row in rows(report))
    build = report["build"]
    made = f"{report['made'][:16].replace('T', ' ')} UTC · commit {build['commit']}{' and changes' if build['dirty'] else ''} · {report['machine']}"
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ladder under load</title>'
            f"<style>{STYLE}</style><h1>ladder under load</h1><p>{html.escape(made)}. Servers and generators share the machine. requests/s is what goes at most "
            f"(closed loop); latencies are at the fixed rate beside them, from when each request was due (open loop); processor time and database "
            f'queries are those of one request.</p><div class="wide"><table><tr>{head}</tr>{body}</table></div>'
            f'{"".join(section(name, result) for name, result in report["scenarios"].items())}</html>\n')
