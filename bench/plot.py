"""The plots, as SVG text. Nothing but string formatting: no library is needed to draw them."""

import math
from html import escape

from measure import figure
from programs import LIBRARIES, NAMES

WIDTH = 780
INK, FAINT, GRID = "#1f2933", "#6b7785", "#e3e7eb"
COLOURS = {"leash": "#c8321f", "leash_posix_spawn": "#e38d7f", "floor": "#1f2933", "bare": "#8a94a0",
           "boost_v1": "#2f6fb3", "boost_v2": "#7fb0de", "libuv": "#3a9a5b", "glib": "#b8860b", "qt5": "#86b817",
           "poco": "#8a4fa3", "python": "#d98cb3"}


def text(x, y, words, size=13, fill=INK, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(str(words))}</text>')


def line(x1, y1, x2, y2, colour=GRID, width=1.0, dash=""):
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"{dashes}/>')


def box(x, y, width, height, fill):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="2" fill="{fill}"/>'


def dot(x, y, radius, fill):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}"/>'


def name_of(key, x, y, anchor="end"):
    if key == "leash":
        return text(x, y, NAMES[key], 13, COLOURS[key], anchor, "bold")
    return text(x, y, NAMES[key], 13, INK, anchor)


def picture(title, subtitle, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" role="img">',
        f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{height:.0f}" rx="6" fill="#ffffff"/>',
        text(20, 30, title, 17, weight="bold"), text(20, 50, subtitle, 12, FAINT), *parts, "</svg>"]) + "\n"


class LogScale:
    """From values to pixels."""

    def __init__(self, values, start, end):
        self.low, self.high = math.log10(min(values) / 1.25), math.log10(max(values) * 1.25)
        self.start, self.end = start, end

    def __call__(self, value):
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        every = [digit * 10**power for power in powers for digit in (1, 2, 5)]
        inside = [tick for tick in every if self.low <= math.log10(tick) <= self.high]
        tens = [tick for tick in inside if f"{tick:e}"[0] == "1"]
        return inside if len(inside) < 8 else tens


class LinearScale:
    def __init__(self, values, start, end):
        self.high, self.start, self.end = max(values) * 1.05, start, end

    def __call__(self, value):
        return self.start + value / self.high * (self.end - self.start)

    def ticks(self):
        step = 10 ** math.floor(math.log10(self.high))
        step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2) if self.high / (step * part) <= 7)
        return [step * count for count in range(int(self.high / step) + 1)]


def bars(title, subtitle, measurement, scale_of=LinearScale):
    """One bar or dot per library: the median; the whisker spans the quartiles. What failed says how."""
    rows = [(key, measurement["rows"][key]) for key in LIBRARIES if key in measurement["rows"]]
    done = [(key, row) for key, row in rows if "failed" not in row]
    done.sort(key=lambda one: one[1]["median"], reverse=measurement["better"] == "higher")
    left, right, top, step = 150, WIDTH - 70, 70, 26
    scale = scale_of([row[what] for _, row in done for what in ("q1", "q3")], left, right)
    bottom = top + step * len(rows)
    parts = []
    for tick in scale.ticks():
        x = scale(tick)
        parts += [line(x, top, x, bottom), text(x, bottom + 18, figure(tick), 11, FAINT, "middle")]
    for place, (key, row) in enumerate(done + [one for one in rows if "failed" in one[1]]):
        y = top + step * place
        parts.append(name_of(key, left - 8, y + 17))
        if "failed" in row:
            parts.append(text(left + 6, y + 17, row["failed"], 12, FAINT))
            continue
        middle = y + step / 2
        colour = COLOURS[key] if key == "leash" else "#b9c3cd"
        # A bar's length says nothing where the scale has no zero.
        parts += [box(left, y + 5, scale(row["median"]) - left, step - 10, colour) if scale_of is LinearScale
                  else dot(scale(row["median"]), middle, 6, colour),
                  line(scale(row["q1"]), middle, scale(row["q3"]), middle, INK, 1.5),
                  text(max(scale(row["q3"]), scale(row["median"])) + 6, y + 17, figure(row["median"]), 12)]
    return picture(title, subtitle, bottom + 34, parts)


def curves(title, subtitle, results, points, unit):
    """points: (name on the x axis, measurement). Both axes are by ratio: equal factors, equal lengths."""
    points = [(label, results[name]["rows"]) for label, name in points if name in results]
    keys = [key for key in LIBRARIES if all("median" in rows.get(key, {}) for _, rows in points)]
    left, right, top, bottom = 70, WIDTH - 165, 75, 400
    scale = LogScale([rows[key]["median"] for _, rows in points for key in keys], bottom, top)
    across = [left + (right - left) * place / max(len(points) - 1, 1) for place in range(len(points))]
    parts = [text(20, top - 8, unit, 11, FAINT)]
    for tick in scale.ticks():
        y = scale(tick)
        parts += [line(left, y, right, y), text(left - 8, y + 4, f"{tick:,.0f}".replace(",", " "), 11, FAINT, "end")]
    for x, (label, _) in zip(across, points):
        parts += [line(x, top, x, bottom), text(x, bottom + 20, label, 12, FAINT, "middle")]
    labels = []
    for key in reversed(keys):  # leash on top
        corners = [(x, scale(rows[key]["median"])) for x, (_, rows) in zip(across, points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        width, radius = (3, 4) if key == "leash" else (1.7, 2.5)
        dashes = ' stroke-dasharray="5 4"' if key in ("floor", "bare") else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[key]}" stroke-width="{width}"{dashes}/>')
        parts += [dot(x, y, radius, COLOURS[key]) for x, y in corners]
        labels.append((corners[-1][1], key))
    place = top - 10
    for end, key in sorted(labels):  # beside the ends of the curves, and not over each other
        place = max(place + 16, min(end, bottom - 16 * len(labels) + 16 * (sorted(labels).index((end, key)) + 1)))
        parts += [line(right + 6, end, right + 22, place, COLOURS[key]), name_of(key, right + 26, place + 4, "start")]
    return picture(title, subtitle, bottom + 40, parts)


def deadline_table(report):
    """What returns when, and what it leaves behind."""
    tree, escapee = report["results"]["deadline, tree"]["rows"], report["results"]["deadline, escapee"]["rows"]
    keys = [key for key in LIBRARIES if key in tree]
    keys.sort(key=lambda key: ("failed" in tree[key], tree[key]["alive"]))
    columns = ((tree, 150, "sleep 100 & sleep 100"), (escapee, 470, "setsid sleep 100 & sleep 100"))
    top, step, red, amber = 115, 30, COLOURS["leash"], "#d9a441"
    parts = [line(20, top - 8, WIDTH - 20, top - 8, FAINT)]
    for rows, left, script in columns:
        parts += [text(left, 78, f"sh -c '{script}'", 13, weight="bold"), text(left, 97, "returns after", 12, FAINT),
                  text(left + 130, 97, "left behind", 12, FAINT)]
    for place, key in enumerate(keys):
        y = top + step * place
        parts += [name_of(key, 138, y + 17), line(20, y + 25, WIDTH - 20, y + 25)]
        for rows, left, _ in columns:
            row = rows.get(key)
            if row is None:
                continue
            hangs = "failed" in row
            returned = row["failed"] if hangs else f"{row['median']:.0f} ms"
            parts.append(text(left, y + 17, returned, 13, "#aa1111" if hangs else INK))
            dots = [red] * row["alive"] + [amber] * row["escaped"]
            parts += [dot(left + 137 + 18 * place, y + 12.5, 6, colour) for place, colour in enumerate(dots)]
            if not dots:
                parts.append(text(left + 130, y + 17, "nothing", 13))
    bottom = top + step * len(keys) + 18
    parts += [dot(27, bottom, 6, red), text(40, bottom + 4, "a process of the job", 12, FAINT),
              dot(187, bottom, 6, amber),
              text(200, bottom + 4, "one that left its process group, out of reach of a signal to it", 12, FAINT)]
    return picture("A captured command with a deadline of 100 ms", "Each library by its documented way.", bottom + 22,
                   parts)


def all_plots(report):
    """By file name."""
    results = report["results"]
    big, late, many = results["big capture"], results["late"], results["many, captured"]
    heaps = [("small", "spawn")] + [(f"{size} MiB", f"spawn, heap {size} MiB") for size in (64, 256, 1024)]
    opens = [(str(count), f"spawn, {count} descriptors") for count in (10, 100, 1000, 10_000)]
    return {
        "spawn-memory": curves(
            "Starting a program, by the memory of the parent",
            "Spawn and wait, median. posix_spawn does not copy the parent; fork does.", results, heaps, "µs"),
        "spawn-descriptors": curves(
            "Starting a program, by the open descriptors of the parent",
            "Spawn and wait, median. The descriptors are close-on-exec; RLIMIT_NOFILE is 16 384.", results, opens, "µs"),
        "capture": bars(
            "Capturing a large output into memory",
            f"{big['bytes'] >> 20} MiB, in GiB/s: more is better. Median and quartiles.", big),
        "late": bars(
            "How late a timed wait returns",
            "µs after the child has ended; equal factors, equal distances. Median and quartiles.", late, LogScale),
        "many": bars(
            "Many children at once, captured",
            f"{many['count']} children, 512 in flight, in children/s: more is better. Median and quartiles.", many),
        "deadline": deadline_table(report),
    }
