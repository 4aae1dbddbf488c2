"""Growth curves as a picture: of each curve time above memory, both axes logarithmic."""
import math
from xml.sax.saxutils import escape

PANEL, LEFT, TOP, GAP = 250, 54, 44, 22
HEIGHTS = {"ms": 150, "MB": 100}
STYLE = """
svg { font: 11px sans-serif; color: #333 } text { fill: currentColor; stroke: none } .title { font-weight: bold }
.end { text-anchor: end } .middle { text-anchor: middle } rect { fill: #fff } .grid { stroke: #e4e4e4 }
polyline, circle { fill: none; stroke: currentColor; stroke-width: 1.8 } circle { stroke-width: 2.6 }
.weft { color: #1f6fd0 } .PyTorch { color: #c8641a } .roofline { color: #888; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
svg { color: #ccc } rect { fill: #10141a } .grid { stroke: #2a3038 } .weft { color: #6cb2ff } .PyTorch { color: #ffa05c }
}"""


def short(x):
    """10000 -> 10k."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if x >= max(unit, 1e4):
            return f"{x / unit:g}{name}"
    return f"{x:g}"


def lines_of(points):
    """{"ms", "MB": {line: [(size, value)]}} of the points that there are; values of 0 have no place on the axis."""
    good = [p for p in points if "out" not in p]
    sides = {"weft": "weft", "PyTorch": "peer"}
    lines = {"ms": {"roofline": [(p["size"], p["roof_ms"]) for p in good]}, "MB": {}}
    for name, side in sides.items():
        lines["ms"][name] = [(p["size"], p[side]["ms"]) for p in good]
        lines["MB"][name] = [(p["size"], p[side]["bytes"] / 1e6) for p in good if p[side]["bytes"]]
    return {unit: {name: line for name, line in of.items() if line} for unit, of in lines.items()}


def scale(low, high, begin, end):
    """Logarithmic, from [low, high] to [begin, end]."""
    span = math.log(high / low) or 1
    return lambda v: begin + (end - begin) * math.log(v / low) / span


def panel(lines, unit, x, left, top):
    """Grid, axis and lines of one unit."""
    values = [v for line in lines.values() for _, v in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    bottom = top + HEIGHTS[unit]
    y = scale(10.0**low, 10.0**high, bottom, top)
    out = []
    for e in range(low, high + 1):
        at = f"{y(10.0**e):.1f}"
        out.append(f'<line class="grid" x1="{left}" x2="{left + PANEL}" y1="{at}" y2="{at}"/>')
        if (high - e) % (1 + (high - low) // 6) == 0:
            out.append(f'<text class="end" x="{left - 5}" y="{y(10.0**e) + 4:.1f}">{short(10.0**e)}{f" {unit}" * (e == high)}</text>')
    for name, line in lines.items():
        places = [(f"{x(size):.1f}", f"{y(v):.1f}") for size, v in line]
        out.append(f'<polyline class="{name}" points="{" ".join(map(",".join, places))}"/>')
        if name != "roofline":
            out += [f'<circle class="{name}" cx="{cx}" cy="{cy}" r="1.2"/>' for cx, cy in places]
    return out


def picture(op, curves):
    """An SVG of an op's curves, side by side."""
    width = len(curves) * (LEFT + PANEL + GAP)
    height = TOP + sum(HEIGHTS.values()) + 2 * GAP + 8
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
           f"<title>{escape(op)}: time and memory over sizes</title><style>{STYLE}</style>", f'<rect width="{width}" height="{height}"/>']
    for i, name in enumerate(("weft", "PyTorch", "roofline")):
        out.append(f'<text class="{name}" x="{LEFT + 62 * i}" y="16">{name}</text>')
    for i, curve in enumerate(curves.values()):
        left, top = LEFT + i * (LEFT + PANEL + GAP), TOP
        lines = lines_of(curve["points"])
        sizes = [size for size, _ in lines["ms"].get("roofline", [])]
        out.append(f'<text class="title" x="{left}" y="{TOP - 8}">{escape(op)}, {escape(curve["axis"])}</text>')
        if not sizes:
            continue
        x = scale(min(sizes), max(sizes), left + 6, left + PANEL - 6)
        for unit in HEIGHTS:
            if lines[unit]:
                out += panel(lines[unit], unit, x, left, top)
            top += HEIGHTS[unit] + GAP
        last = -math.inf
        for size in sizes:
            if x(size) - last >= 34:
                last = x(size)
                out.append(f'<text class="middle" x="{last:.1f}" y="{height - 14}">{short(size)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"
