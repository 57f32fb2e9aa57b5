#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes bench.jsonl readable: report.md, and report.html, one page with its plots.

	report.py FOLDER [FOLDER-OF-SCALE]

Reads bench.jsonl and, if there, scale.jsonl; draws with gnuplot, which has to be there.
"""
import html
import json
import os
import subprocess
import sys
from statistics import median

ORDER = ["host", "vfio", "sriov", "direct", "guarded", "spdk", "vhost-user-blk", "vhost-scsi",
         "virtio-blk-iothread", "virtio-blk", "virtio-blk-qcow2"]
COLOURS = {"host": "#555555", "vfio": "#1f77b4", "sriov": "#17becf", "direct": "#2ca02c",
           "guarded": "#98df8a", "shared": "#bcbd22", "spdk": "#e377c2", "vhost-user-blk": "#9467bd",
           "vhost-scsi": "#8c564b", "virtio-blk-iothread": "#ff7f0e", "virtio-blk": "#d62728",
           "virtio-blk-qcow2": "#ffbb78"}
# Of the whole drive by vfio-pci, in the same run.
MARKS = [
    ("direct, QD >= 16", lambda w: w["qd"] >= 16, "direct", "vfio", 97.6),
    ("direct, QD 1, an exit for each doorbell", lambda w: w["qd"] == 1 and w["jobs"] == 1,
     "direct", "vfio", 85),
    ("direct, QD 1, no exit for a doorbell", lambda w: w["qd"] == 1 and w["jobs"] == 1,
     "direct", "vfio", 95),
    ("guarded, QD >= 16", lambda w: w["qd"] >= 16, "guarded", "vfio", 90),
]


# Of what scale.sh counts for each instance: a page for each of its two rings, and one for the
# addresses of each of the two times 2 MiB that it uses.
RINGS_AND_PINS_KIB = 16


def name_of(load):
    return f"{load['rw']} {load['bs']}, QD {load['qd']}, {load['jobs']} job" + \
        ("s" if load["jobs"] > 1 else "")


class Results:
    """The rows of one file, by workload and method."""

    def __init__(self, path):
        with open(path, encoding="ascii") as file:
            rows = [json.loads(line) for line in file]
        self.machine = next(r for r in rows if r["kind"] == "machine")
        self.command = next((r for r in rows if r["kind"] == "command"), {})
        self.idle = next((r for r in rows if r["kind"] == "idle"), None)
        self.failed = [r for r in rows if r["kind"] == "failed"]
        self.runs, self.loads, self.app = {}, {}, {}
        for row in rows:
            if row["kind"] == "run":
                load = name_of(row)
                self.loads[load] = {k: row[k] for k in ("rw", "bs", "qd", "jobs")}
                self.runs.setdefault((load, row["method"]), []).append(row)
            elif row["kind"] == "app":
                self.app.setdefault(row["method"], []).append(row)
        have = {m for _, m in self.runs}
        self.methods = [m for m in ORDER if m in have]

    def values(self, load, method, *path):
        out = []
        for row in self.runs.get((load, method), []):
            for key in path:
                row = row.get(key, 0)
            out.append(row)
        return out

    def median(self, load, method, *path):
        values = self.values(load, method, *path)
        return median(values) if values else None

    def cpu(self, load, method):
        """Seconds of the host's CPU for a million I/Os, of each run, whoever spent them."""
        return [sum(v.values()) for v in self.values(load, method, "cpu_s_per_mio")]

    def where(self, **what):
        return [n for n, l in self.loads.items() if all(l[k] == v for k, v in what.items())]


# ---- tables: lists of rows of text, the first is the head ----

def number(value, digits=0):
    return "-" if value is None else f"{value:.{digits}f}"


def load_table(res, load):
    head = ["", "IOPS", "min-max", "of vfio", "MiB/s", "mean us", "p50", "p95", "p99", "p99.9",
            "exits/IO", "CPU s/M IO", "vCPU", "QEMU", "vhost", "daemon", "kernel", "irq"]
    rows = [head]
    vfio = res.median(load, "vfio", "iops")
    for method in res.methods:
        iops = res.values(load, method, "iops")
        if not iops:
            continue
        cpu = {k: res.median(load, method, "cpu_s_per_mio", k) for k in
               ("vcpu", "qemu", "vhost", "daemon", "kthreads", "interrupts", "app")}
        host = method == "host"
        rows.append(
            [method, number(median(iops)), f"{min(iops):.0f}-{max(iops):.0f}",
             f"{100 * median(iops) / vfio:.0f} %" if vfio else "-",
             number(res.median(load, method, "mib_s"), 1)] +
            [number(res.median(load, method, "latency_us", k)) for k in
             ("mean", "p50", "p95", "p99", "p99.9")] +
            ["-" if host else number(res.median(load, method, "exits_per_io", "exits"), 2),
             number(median(res.cpu(load, method))), number(cpu["app"] if host else cpu["vcpu"]),
             number(cpu["qemu"]), number(cpu["vhost"]), number(cpu["daemon"]),
             number(cpu["kthreads"]), number(cpu["interrupts"])])
    return rows


def reason_table(res, load):
    names = {}
    for method in res.methods:
        for row in res.runs.get((load, method), []):
            for reason, hits in row["reasons_per_io"].items():
                names[reason] = max(names.get(reason, 0), hits)
    names = sorted((n for n in names if names[n] >= 0.005), key=names.get, reverse=True)
    rows = [[""] + names + ["irq injections", "to QEMU"]]
    for method in res.methods:
        if method == "host" or not res.values(load, method, "iops"):
            continue
        rows.append([method] + [number(res.median(load, method, "reasons_per_io", n), 2) for n in names] +
                    [number(res.median(load, method, "exits_per_io", "irq_injections"), 2),
                     number((res.median(load, method, "exits_per_io", "mmio_exits") or 0) +
                            (res.median(load, method, "exits_per_io", "io_exits") or 0), 3)])
    return rows


def app_table(res):
    rows = [["", "fill, ops/s", "min-max", "read, ops/s", "min-max"]]
    for method in ORDER:
        runs = res.app.get(method)
        if not runs:
            continue
        row = [method]
        for what in ("fillrandom", "readrandom"):
            values = [r[what] for r in runs]
            row += [number(median(values)), f"{min(values):.0f}-{max(values):.0f}"]
        rows.append(row)
    return rows


def overview(res, digits, *path):
    """A median for each workload and method."""
    methods = [m for m in res.methods if m != "host" or path[0] != "exits_per_io"]
    return [[""] + methods] + [[load] + [number(res.median(load, m, *path), digits) for m in methods]
                               for load in res.loads]


def cpu_overview(res):
    return [[""] + res.methods] + [
        [load] + [number(median(cpu) if cpu else None)
                  for cpu in (res.cpu(load, m) for m in res.methods)]
        for load in res.loads]


def failed_table(res):
    return [["workload", "method", "repeat", "why"]] + [
        [name_of(r) if "qd" in r else r["app"], r["method"], str(r["repeat"]),
         (r["why"].strip().splitlines() or ["-"])[-1][:120]] for r in res.failed]


def mark_table(res):
    rows = [["mark", "workload", "wanted", "measured", ""]]
    for text, fits, method, other, percent in MARKS:
        for load, what in res.loads.items():
            mine, theirs = res.median(load, method, "iops"), res.median(load, other, "iops")
            if fits(what) and mine and theirs:
                share = 100 * mine / theirs
                rows.append([text, load, f">= {percent} % of {other}'s IOPS", f"{share:.1f} %",
                             "met" if share >= percent else "MISSED"])
    for load, what in res.loads.items():
        limit = 1 if what["qd"] == 1 else 0.3 if what["qd"] == 32 else None
        vfio = res.median(load, "vfio", "exits_per_io", "exits")
        for method in ("direct", "guarded"):
            mine = res.median(load, method, "exits_per_io", "exits")
            if limit is None or what["jobs"] != 1 or not mine or not vfio:
                continue
            rows.append([method, load, f"<= vfio's exits per I/O + {limit}",
                         f"{mine:.2f}, vfio {vfio:.2f}", "met" if mine <= vfio + limit else "MISSED"])
        for method in ("direct", "guarded"):
            mine = res.median(load, method, "iops")
            rest = {m: res.median(load, m, "iops") for m in res.methods
                    if m.startswith(("virtio", "vhost"))}
            rest = {m: v for m, v in rest.items() if v}
            if mine and rest:
                best = max(rest, key=rest.get)
                rows.append([method, load, "above every virtio and vhost",
                             f"{100 * mine / rest[best]:.0f} % of {best}",
                             "met" if mine > rest[best] else "MISSED"])
    return rows


def scale_marks(scale):
    rows = []
    for many in scale:
        one = next((r for r in scale if r["mode"] == many["mode"] and r["n"] == 1), None)
        if many["n"] < 1000 or many["guests"] or not one:
            continue
        load = f"{many['n']} instances, {many['mode']}"
        share = many["first_io_ms"] / one["first_io_ms"]
        rows += [["verified, no error", load, "0", str(many["errors"]), "MISSED" if many["errors"] else "met"],
                 ["create to first I/O", load, "<= 1.5 times that of one", f"{share:.2f} times",
                  "met" if share <= 1.5 else "MISSED"]]
        few = next((r for r in scale if r["mode"] == many["mode"] and r["n"] == 10), None)
        if many["mode"] == "shared" and few:
            share = 100 * many["iops"] / few["iops"]
            rows.append(["IOPS of all", load, ">= 95 % of those of 10", f"{share:.1f} %",
                         "met" if share >= 95 else "MISSED"])
            share = many["max_ios"] / max(many["min_ios"], 1)
            rows.append(["I/Os of one", load, "most <= 1.1 times least", f"{share:.2f} times",
                         "met" if share <= 1.1 else "MISSED"])
        if many["kib"] is not None:
            kib = many["kib"] - RINGS_AND_PINS_KIB
            rows.append(["memory beyond rings and pins", load, "< 64 KiB each", f"{kib:.1f} KiB",
                         "met" if kib < 64 else "MISSED"])
    return rows


def all_marks(res, scale):
    return mark_table(res) + scale_marks(scale)


def machine_table(res):
    rows = [["", ""]]
    for key, value in {**res.machine, **res.command}.items():
        if key == "left_out":
            value = "; ".join(f"{a}: {b}" for a, b in zip(value[::2], value[1::2])) or "nothing"
        if key != "kind":
            rows.append([key.replace("_", " "), str(value)])
    if res.idle:
        rows.append(["idle, share of a CPU", ", ".join(
            f"{k} {100 * v:.2f} %" for k, v in res.idle["cpu_share"].items() if k != "app")])
        rows.append(["idle, threads above 0.2 %", ", ".join(
            f"{k} {100 * v:.2f} %" for k, v in res.idle["threads"].items()) or "none"])
    return rows


# ---- plots ----

def gnuplot(script):
    return subprocess.run(["gnuplot"], input=script, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def quoted(text):
    return '"' + text.replace('"', "'") + '"'


HEAD = """set terminal svg size {width},{height} dynamic enhanced font 'sans-serif,13' background '#ffffff'
set title {title} noenhanced
set key outside right top noenhanced
set grid ytics lc rgb '#dddddd'
set yrange [0:*]
set ylabel {ylabel} noenhanced
set border 3
set tics nomirror
"""


def bars(title, ylabel, groups, series, stacked=False):
    """series: (name, colour, a value for each group, (low, high) for each or None)."""
    width = 320 + max(480, len(groups) * (18 * len(series) + 30) if not stacked else len(groups) * 60)
    out = HEAD.format(width=width, height=420, title=quoted(title), ylabel=quoted(ylabel))
    out += "set style fill solid 0.9 border lc rgb '#ffffff'\nset boxwidth 0.9\n"
    out += "set style histogram " + ("rowstacked" if stacked else "errorbars gap 1 lw 1") + "\n"
    out += "set style data histograms\nset xtics rotate by -25 noenhanced\n$d << EOD\n"
    for n, group in enumerate(groups):
        row = [quoted(group)]
        for _, _, values, spread in series:
            row.append("NaN" if values[n] is None else f"{values[n]:.6g}")
            if not stacked:
                low, high = spread[n] if spread and spread[n] else (values[n], values[n])
                row += ["NaN" if low is None else f"{low:.6g}", "NaN" if high is None else f"{high:.6g}"]
        out += " ".join(row) + "\n"
    out += "EOD\nplot "
    step = 1 if stacked else 3
    parts = []
    for n, (name, colour, _, _) in enumerate(series):
        column = 2 + step * n
        using = f"{column}" if stacked else f"{column}:{column + 1}:{column + 2}"
        parts.append(f"$d using {using}{':xtic(1)' if n == 0 else ''} title {quoted(name)} lc rgb '{colour}'")
    return gnuplot(out + ", ".join(parts) + "\n")


def lines(title, xlabel, ylabel, series, logy=False):
    """series: (name, colour, [(x, y, low, high)])."""
    out = HEAD.format(width=820, height=420, title=quoted(title), ylabel=quoted(ylabel))
    out += f"set xlabel {quoted(xlabel)} noenhanced\nset logscale x 2\n"
    if logy:
        out += "set logscale y\nset yrange [*:*]\n"
    parts = []
    for n, (name, colour, points) in enumerate(series):
        out += f"$d{n} << EOD\n" + "".join(f"{x} {y:.6g} {a:.6g} {b:.6g}\n" for x, y, a, b in points) + "EOD\n"
        parts.append(f"$d{n} using 1:2:3:4 with yerrorlines lw 2 pt 7 ps 0.6 lc rgb '{colour}' title {quoted(name)}")
    return gnuplot(out + "plot " + ", ".join(parts) + "\n") if parts else None


def spread(values):
    return (min(values), max(values)) if values else None


def plots(res):
    out = []
    small = [n for n, l in res.loads.items() if l["bs"] == "4k"]
    large = [n for n in res.loads if n not in small]
    for title, ylabel, key, loads in (("4 KiB: IOPS, median and range", "IOPS", "iops", small[:8]),
                                      ("Larger blocks: bandwidth", "MiB/s", "mib_s", large[:8])):
        if loads:
            out.append(("iops" if key == "iops" else "bandwidth", bars(
                title, ylabel, loads,
                [(m, COLOURS[m], [res.median(l, m, key) for l in loads],
                  [spread(res.values(l, m, key)) for l in loads]) for m in res.methods])))
    # Against depth and jobs, where there is more than one.
    for axis, label, fixed in (("qd", "queue depth", {"jobs": 1}), ("jobs", "jobs", {"qd": 8})):
        for rw in dict.fromkeys(l["rw"] for l in res.loads.values()):
            loads = sorted(res.where(rw=rw, bs="4k", **fixed), key=lambda n: res.loads[n][axis])
            if len(loads) < 3:
                continue
            for key, ylabel, path in (("iops", "IOPS", ("iops",)),
                                      ("p95", "p95 latency, us", ("latency_us", "p95")),
                                      ("cpu", "host CPU, s per million I/Os", None)):
                series = []
                for m in res.methods:
                    points = []
                    for l in loads:
                        if path:
                            values = res.values(l, m, *path)
                        else:
                            values = res.cpu(l, m)
                        if values:
                            points.append((res.loads[l][axis], median(values), min(values), max(values)))
                    series.append((m, COLOURS[m], points))
                out.append((f"{key}-{axis}-{rw}", lines(
                    f"4 KiB {rw}: {ylabel} against {label}", label, ylabel, series, key == "p95")))
    for load in [n for n in small if res.loads[n]["jobs"] == 1][:3]:
        who = [("vCPU", "vcpu", "#1f77b4"), ("application", "app", "#555555"), ("QEMU", "qemu", "#d62728"),
               ("vhost", "vhost", "#8c564b"), ("daemon", "daemon", "#9467bd"),
               ("kernel threads", "kthreads", "#ff7f0e"), ("interrupts", "interrupts", "#2ca02c")]
        out.append((f"cpu-{len(out)}", bars(
            f"Host CPU: {load}", "seconds per million I/Os", res.methods,
            [(n, c, [res.median(load, m, "cpu_s_per_mio", k) or 0 for m in res.methods], None)
             for n, k, c in who], stacked=True)))
    loads = [n for n in small if res.loads[n]["jobs"] == 1][:1]
    if loads:
        out.append(("latency", bars(
            f"Latency: {loads[0]}", "microseconds", res.methods,
            [(p, c, [res.median(loads[0], m, "latency_us", p) for m in res.methods],
              [spread(res.values(loads[0], m, "latency_us", p)) for m in res.methods])
             for p, c in (("p50", "#9ecae1"), ("p95", "#4292c6"), ("p99", "#08519c"))])))
    if res.app:
        have = [m for m in ORDER if m in res.app]
        out.append(("app", bars(
            "RocksDB on ext4 (db_bench)", "operations a second", have,
            [(t, c, [median(r[k] for r in res.app[m]) for m in have],
              [spread([r[k] for r in res.app[m]]) for m in have])
             for t, k, c in (("fill at random", "fillrandom", "#fdae6b"),
                             ("read at random", "readrandom", "#31a354"))])))
    return out


# ---- many instances ----

def scale_rows(path):
    if not os.path.exists(path):
        return []
    groups = {}
    with open(path, encoding="ascii") as file:
        for row in map(json.loads, file):
            row.setdefault("guests", [])
            row.setdefault("idle_kib", None)
            groups.setdefault((row["mode"], row["n"], len(row["guests"])), []).append(row)
    out = []
    for rows in groups.values():
        row = dict(rows[0], errors=sum(r["errors"] for r in rows), repeats=len(rows))
        for key in ("create_ms", "open_ms", "first_io_ms", "remove_ms", "idle_kib", "kib", "iops",
                    "min_ios", "max_ios"):
            values = [r[key] for r in rows if r[key] is not None]
            row[key] = median(values) if values else None
        out.append(row)
    return sorted(out, key=lambda r: (r["mode"], r["n"], len(r["guests"])))


def scale_table(rows):
    head = ["instances", "mode", "runs", "create ms", "open ms", "first I/O ms", "remove ms",
            "KiB idle", "KiB each",
            "IOPS", "min", "max", "max/min", "wrong", "guests beside", "their IOPS"]
    return [head] + [[str(r["n"]), r["mode"], str(r["repeats"]), number(r["create_ms"], 2), number(r["open_ms"], 2),
                      number(r["first_io_ms"], 2), number(r["remove_ms"], 2),
                      number(r["idle_kib"], 1), number(r["kib"], 1),
                      number(r["iops"]), number(r["min_ios"]), number(r["max_ios"]),
                      number(r["max_ios"] / r["min_ios"] if r["min_ios"] else None, 2),
                      str(r["errors"]), str(len(r["guests"])),
                      f"{min(r['guests'])}-{max(r['guests'])}" if r["guests"] else "-"] for r in rows]


def scale_plots(rows):
    out = []
    rows = [r for r in rows if not r["guests"]]
    modes = dict.fromkeys(r["mode"] for r in rows)
    for key, title, ylabel in (("iops", "Throughput of all instances", "IOPS"),
                               ("first_io_ms", "Create to first I/O", "ms"),
                               ("kib", "Memory of the host for each", "KiB")):
        series = [(m, COLOURS.get(m, "#333333"),
                   [(r["n"], r[key], r[key], r[key]) for r in rows
                    if r["mode"] == m and r[key] is not None]) for m in modes]
        out.append((f"scale-{key}", lines(f"{title} against their number", "instances", ylabel, series)))
    return out


# ---- pages ----

def markdown_table(rows):
    width = [max(len(r[n]) for r in rows) for n in range(len(rows[0]))]
    out = []
    for n, row in enumerate(rows):
        out.append("| " + " | ".join(c.ljust(w) if k == 0 else c.rjust(w)
                                     for k, (c, w) in enumerate(zip(row, width))) + " |")
        if n == 0:
            out.append("|" + "|".join("-" * (w + 1) + (":" if k else "-") for k, w in enumerate(width)) + "|")
    return "\n".join(out) + "\n"


def html_table(rows):
    cell = lambda tag, text: f"<{tag}>{html.escape(text)}</{tag}>"
    body = "".join("<tr%s>" % (' class="missed"' if r[-1] == "MISSED" else "") +
                   "".join(cell("td", c) for c in r) + "</tr>\n" for r in rows[1:])
    return "<div class=\"wide\"><table><tr>" + "".join(cell("th", c) for c in rows[0]) + "</tr>\n" + body + "</table></div>\n"


STYLE = """body { font: 15px/1.45 sans-serif; color: #222; max-width: 1180px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; font-size: 13px; margin: .6em 0 1.4em; }
th, td { padding: 3px 9px; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td:nth-child(2):last-child { white-space: normal; text-align: left; }
.missed { background: #fbe9e7; } .wide { overflow-x: auto; }
svg { max-width: 100%; height: auto; display: block; margin: .6em 0; }"""

NOTE = ("Medians of interleaved repeats, and their range. CPU s/M IO are seconds of host CPU for a million "
        "I/Os, by who spent them: vCPU includes the guest's own work. Where a mark is missed, the tables of its "
        "workload say what the time and the exits went to; what was tried is in Documentation/performance.rst.")
LAB = ("The host of this run is itself emulated, on one CPU: an exit costs some hundred microseconds "
       "instead of one or two, and the drive is an emulation that shares this CPU. Figures compare the ways "
       "with one another and say nothing about a real machine.")


def sections(res, scale):
    yield "Machine and command", machine_table(res), None
    marks = all_marks(res, scale)
    if len(marks) > 1:
        yield "Marks", marks, None
    if res.failed:
        yield "Runs that failed, and count nowhere", failed_table(res), None
    yield "IOPS", overview(res, 0, "iops"), None
    yield "p95 latency, us", overview(res, 0, "latency_us", "p95"), None
    yield "Exits for each I/O", overview(res, 2, "exits_per_io", "exits"), None
    yield "Host CPU, seconds per million I/Os", cpu_overview(res), None
    for name, svg in plots(res):
        yield None, None, (name, svg)
    for load in res.loads:
        yield load, load_table(res, load), None
        if len(reason_table(res, load)) > 1:
            yield f"Exits for each I/O, by reason: {load}", reason_table(res, load), None
    if res.app:
        yield "RocksDB on ext4", app_table(res), None
    if scale:
        yield "Many instances", scale_table(scale), None
        for name, svg in scale_plots(scale):
            yield None, None, (name, svg)


def main():
    folder = sys.argv[1]
    res = Results(folder + "/bench.jsonl")
    scale = scale_rows(os.path.join(sys.argv[2] if len(sys.argv) > 2 else folder, "scale.jsonl"))
    note = NOTE + (" " + LAB if res.machine.get("lab") else "")
    text = f"# Ways to give a guest an NVMe drive\n\n{note}\n\n"
    page = (f"<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>LightIOV bench</title>"
            f"<style>{STYLE}</style></head><body><h1>Ways to give a guest an NVMe drive</h1>"
            f"<p>{html.escape(note)}</p>\n")
    for title, rows, plot in sections(res, scale):
        if title:
            text += f"## {title}\n\n"
            page += f"<h2>{html.escape(title)}</h2>\n"
        if rows:
            text += markdown_table(rows) + "\n"
            page += html_table(rows)
        if plot and plot[1]:
            with open(f"{folder}/{plot[0]}.svg", "w", encoding="utf-8") as file:
                file.write(plot[1])
            text += f"![{plot[0]}]({plot[0]}.svg)\n\n"
            page += plot[1][plot[1].index("<svg"):] + "\n"
    with open(folder + "/report.md", "w", encoding="utf-8") as file:
        file.write(text)
    with open(folder + "/report.html", "w", encoding="utf-8") as file:
        file.write(page + "</body></html>\n")
    print(f"report: {folder}/report.md and {folder}/report.html")
    missed = [r for r in all_marks(res, scale)[1:] if r[-1] == "MISSED"]
    for row in missed:
        print("missed: " + ", ".join(row[:4]))


main()
