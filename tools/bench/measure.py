#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs fio on one disk after the other and counts what it costs the host.

The disks are those of one guest (a line of JSON each in --methods: name, dev), and the
host's own, "host". Repeats go round all workloads and methods, in another order each
time. Each run is one line of JSON in --out. What the host spends is taken over a
window inside of the run, when fio has started and not yet ended: KVM's exits, by
counter and by reason, and CPU time, by who spent it.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../selftests/lab")
EXIT_EVENT = "/sys/kernel/tracing/events/kvm/kvm_exit"
# exit_reason of the tracepoint, by its field isa: AMD's and Intel's manuals.
REASONS = {
    2: {0x060: "interrupt", 0x061: "nmi", 0x064: "interrupt window", 0x072: "cpuid",
        0x077: "pause", 0x078: "halt", 0x07b: "port", 0x07c: "msr", 0x081: "hypercall",
        0x400: "memory", 0x401: "apic", 0x402: "apic"},
    1: {0: "exception", 1: "interrupt", 7: "interrupt window", 10: "cpuid", 12: "halt",
        18: "hypercall", 30: "port", 31: "msr", 32: "msr", 40: "pause", 44: "apic",
        45: "apic", 48: "memory", 49: "mmio", 52: "timer", 56: "apic"},
}
# Seconds that fio works before it counts.
RAMP = 0.5
# A run that fails is left out; after so many the rest is not worth the time.
MANY_FAILURES = 5
TICK = 1 / os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cpu_ns(path):
    """What a task has run, nanoseconds; path is its folder below /proc."""
    text = read(path + "/schedstat")
    return int(text.split()[0]) if text else 0


class Host:
    """Snapshots of what the host has spent, by who spent it."""

    def __init__(self, guest_dir, daemons):
        self.pid = int(read(guest_dir + "/pid"))
        self.daemons = daemons
        kvm = "/sys/kernel/debug/kvm"
        own = [d for d in os.listdir(kvm) if d.startswith(f"{self.pid}-")]
        self.kvm = f"{kvm}/{own[0]}"
        self.counters = [f for f in os.listdir(self.kvm) if os.path.isfile(f"{self.kvm}/{f}")]
        self.kinds = {}
        with open(EXIT_EVENT + "/trigger", "w", encoding="ascii") as trigger:
            trigger.write("hist:keys=isa,exit_reason")

    def kind(self, pid):
        """A process that is a kernel thread; they are looked at once."""
        if pid not in self.kinds:
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            self.kinds[pid] = bool(fields) and (int(fields[6]) & 0x200000) != 0
        return self.kinds[pid]

    def cpu(self, extra):
        """Seconds of CPU by who spent them."""
        out = {"vcpu": 0, "qemu": 0, "vhost": 0, "daemon": 0, "kthreads": 0, "app": 0}
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            path = f"/proc/{self.pid}/task/{tid}"
            name = read(path + "/comm")
            who = "vcpu" if re.match(r"CPU \d+/", name) else \
                "vhost" if name.startswith("vhost-") else "qemu"
            out[who] += cpu_ns(path)
        for who, pids in (("daemon", self.daemons), ("app", extra)):
            for pid in pids:
                try:
                    tasks = os.listdir(f"/proc/{pid}/task")
                except OSError:
                    continue
                for tid in tasks:
                    out[who] += cpu_ns(f"/proc/{pid}/task/{tid}")
        for pid in os.listdir("/proc"):
            if pid.isdigit() and self.kind(pid):
                out["kthreads"] += cpu_ns(f"/proc/{pid}")
        out = {who: ns / 1e9 for who, ns in out.items()}
        stat = read("/proc/stat").split("\n", 1)[0].split()
        out["interrupts"] = (int(stat[6]) + int(stat[7])) * TICK
        return out

    def threads(self):
        """CPU of each thread of QEMU and of each kernel thread, by its folder."""
        paths = [f"/proc/{self.pid}/task/{tid}" for tid in os.listdir(f"/proc/{self.pid}/task")]
        paths += [f"/proc/{pid}" for pid in os.listdir("/proc") if pid.isdigit() and self.kind(pid)]
        return {path: cpu_ns(path) / 1e9 for path in paths}

    def exits(self):
        out = {}
        for name in self.counters:
            text = read(f"{self.kvm}/{name}").strip()
            if text.isdigit():
                out[name] = int(text)
        return out

    @staticmethod
    def reasons():
        out = {}
        for isa, reason, hits in re.findall(
                r"isa:\s*(\d+),\s*exit_reason:\s*(\d+)\s*}\s*hitcount:\s*(\d+)",
                read(EXIT_EVENT + "/hist")):
            name = REASONS.get(int(isa), {}).get(int(reason), f"other {int(reason):#x}")
            out[name] = out.get(name, 0) + int(hits)
        return out

    def snapshot(self, extra=()):
        return {"time": time.monotonic(), "cpu": self.cpu(extra), "exits": self.exits(),
                "reasons": self.reasons()}


def difference(before, after):
    return {key: after[key] - before.get(key, 0) for key in after}


def children(pid):
    out = [pid]
    for tid in os.listdir(f"/proc/{pid}/task"):
        for child in read(f"/proc/{pid}/task/{tid}/children").split():
            out += children(int(child))
    return out


def fio_script(dev, load, args, secs):
    """Says "started" as soon as the disk has I/O, then fio's JSON."""
    mix = "--rwmixread=50" if load["rw"].endswith("rw") else ""
    return f"""s=/sys/block/{os.path.basename(dev)}/stat; a=$(cat $s)
        fio --name=bench --filename={dev} --direct=1 --ioengine=io_uring --rw={load['rw']} {mix} \
            --bs={load['bs']} --iodepth={load['qd']} --numjobs={load['jobs']} --group_reporting \
            --size={args.mib}m --norandommap --random_generator=tausworthe64 \
            --randseed={args.seed + load['repeat']} --allow_file_create=0 --time_based \
            --ramp_time={int(RAMP * 1000)}ms --runtime={int(secs * 1000)}ms --output-format=json --output=/tmp/bench.json \
            >/tmp/bench.err 2>&1 </dev/null &
        p=$!
        until [ "$(cat $s)" != "$a" ]; do kill -0 $p || break; sleep 0.05; done
        echo started $p
        wait $p || {{ cat /tmp/bench.err /tmp/bench.json; exit 1; }}
        cat /tmp/bench.json"""


class Failed(Exception):
    """A run that went wrong; says what was printed."""


def in_guest(args, script, timeout):
    return subprocess.Popen([LAB + "/l2ctl", args.guest, "exec", str(timeout), script],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def on_host(script):
    return subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def latency(fio):
    """Of all directions: the mean, and percentiles of the slower one, microseconds."""
    ways = [fio[d] for d in ("read", "write") if fio[d]["total_ios"]]
    total = sum(w["total_ios"] for w in ways)
    out = {"mean": sum(w["clat_ns"]["mean"] * w["total_ios"] for w in ways) / total / 1000}
    for name, key in (("p50", "50.000000"), ("p95", "95.000000"), ("p99", "99.000000"),
                      ("p99.9", "99.900000")):
        out[name] = max(w["clat_ns"]["percentile"][key] for w in ways) / 1000
    return out


def run(args, host, method, load, secs):
    script = fio_script(method["dev"], load, args, secs)
    native = method["name"] == "host"
    child = on_host(script) if native else in_guest(args, script, int(secs) + 120)
    lines = []
    for line in child.stdout:
        lines.append(line)
        if line.startswith("started "):
            break
    extra = children(int(line.split()[1])) if native and line.startswith("started ") else ()
    started = time.monotonic()
    time.sleep(RAMP + 0.1)
    before = host.snapshot(extra)
    time.sleep(max(started + RAMP + secs - 0.4 - time.monotonic(), 0.3))
    after = host.snapshot(extra)
    text = child.stdout.read()
    if child.wait():
        raise Failed("".join(lines) + text)
    fio = json.loads(text[text.index("{"):])["jobs"][0]
    iops = sum(fio[d]["iops"] for d in ("read", "write"))
    if fio["error"] or not iops:
        raise Failed(f"fio error {fio['error']}, {iops} IOPS")
    ios = iops * (after["time"] - before["time"])
    exits = difference(before["exits"], after["exits"])
    return {"iops": iops,
            "mib_s": sum(fio[d]["bw_bytes"] for d in ("read", "write")) / 2 ** 20,
            "latency_us": latency(fio),
            "exits_per_io": {k: round(v / ios, 4) for k, v in exits.items() if v > 0},
            "reasons_per_io": {k: round(v / ios, 4) for k, v in
                               difference(before["reasons"], after["reasons"]).items() if v},
            "cpu_s_per_mio": {k: round(v / ios * 1e6, 3) for k, v in
                              difference(before["cpu"], after["cpu"]).items()},
            "window_s": after["time"] - before["time"]}


def idle(args, host, secs):
    """Who spends CPU while nothing is asked of any disk."""
    time.sleep(2)
    before, threads = host.snapshot(), host.threads()
    time.sleep(secs)
    after, spent = host.snapshot(), difference(threads, host.threads())
    took = after["time"] - before["time"]
    return {"kind": "idle", "secs": took,
            # By name only now: a kworker's changes with its work.
            "threads": {f"{read(path + '/comm').strip()}-{os.path.basename(path)}": round(v / took, 4)
                        for path, v in spent.items() if v / took > 0.002},
            "cpu_share": {k: round(v / took, 5) for k, v in
                          difference(before["cpu"], after["cpu"]).items()},
            "exits_per_s": difference(before["exits"], after["exits"]).get("exits", 0) / took}


def application(args, host, method, repeat):
    """RocksDB on ext4 on the disk: fill at random, then read at random."""
    common = ("--db=/tmp/app/db --num={n} --reads={reads} --value_size=400 --use_direct_reads "
              "--use_direct_io_for_flush_and_compaction --disable_wal=0 --sync=0 "
              "--write_buffer_size=262144 --target_file_size_base=262144 --cache_size=65536 "
              "--compression_type=none --seed={seed} --threads=1").format(
                  n=args.app, reads=args.app // 4, seed=args.seed + repeat)
    script = f"""mkfs.ext4 -q -F {method['dev']} 200M && mkdir -p /tmp/app && mount {method['dev']} /tmp/app &&
        db_bench --benchmarks=fillrandom,readrandom {common} >/tmp/app.log 2>&1
        rc=$?; umount /tmp/app; cat /tmp/app.log; exit $rc"""
    child = on_host(script) if method["name"] == "host" else in_guest(args, script, 300)
    text = child.stdout.read()
    if child.wait():
        raise Failed(text)
    ops = {name: float(value) for name, value in
           re.findall(r"^(fillrandom|readrandom)\s*:.*?([\d.]+) ops/sec", text, re.M)}
    if len(ops) != 2:
        raise Failed(text)
    return ops


def parse(text):
    out = []
    for word in text.split():
        rw, bs, qd, jobs = word.split(":")
        out.append({"rw": rw, "bs": bs, "qd": int(qd), "jobs": int(jobs)})
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--guest", required=True, help="folder of the guest's state (l2/machine.sh)")
    parser.add_argument("--methods", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--workloads", required=True, help="rw:bs:qd:jobs ...")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--secs", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mib", type=int, default=128)
    parser.add_argument("--app", type=int, default=0, help="operations of RocksDB, 0: none")
    parser.add_argument("--daemons", default="", help="METHOD PID ...")
    args = parser.parse_args()

    with open(args.methods, encoding="ascii") as file:
        methods = [json.loads(line) for line in file]
    host = Host(args.guest, [int(w) for w in args.daemons.split() if w.isdigit()])
    shuffle = random.Random(args.seed)
    loads = parse(args.workloads)
    started = time.monotonic()
    with open(args.out, "a", encoding="ascii") as out:
        def record(row):
            out.write(json.dumps(row) + "\n")
            out.flush()

        def say(text):
            print(f"[{time.monotonic() - started:5.0f}s] {text}", flush=True)

        failures = []

        def tried(what, measure, *rest):
            """What measure() returns; a run that fails is recorded and the others go on."""
            try:
                return measure(args, host, *rest)
            except Failed as err:
                record({**what, "kind": "failed", "why": str(err)[-2000:]})
                say(f"FAILED: {' '.join(str(v) for v in what.values())}: {err}")
                failures.append(err)
                if len(failures) > MANY_FAILURES:
                    raise
                return None

        record({"kind": "command", "workloads": args.workloads, "repeats": args.repeats,
                "secs": args.secs, "seed": args.seed})
        for method in methods:
            # First use of memory, of pages, of the disk.
            run(args, host, method, dict(loads[0], repeat=0, rw="randrw", qd=32), 1)
        row = idle(args, host, 5)
        record(row)
        say("idle: " + " ".join(f"{k} {v:.2%}" for k, v in row["cpu_share"].items()) + "; " +
            " ".join(f"{k} {v:.2%}" for k, v in row["threads"].items()))
        for repeat in range(1, args.repeats + 1):
            for load in loads:
                for method in shuffle.sample(methods, len(methods)):
                    what = dict(load, kind="run", method=method["name"], repeat=repeat)
                    row = tried(what, run, method, what, args.secs)
                    if not row:
                        continue
                    record({**what, **row})
                    say(f"{repeat}/{args.repeats} {load['rw']} {load['bs']} QD {load['qd']} "
                        f"jobs {load['jobs']} {method['name']}: {row['iops']:.0f} IOPS, "
                        f"{row['exits_per_io'].get('exits', 0):.2f} exits/IO")
        repeats = (args.repeats + 1) // 2 if args.app else 0
        for repeat in range(1, repeats + 1):
            for method in shuffle.sample(methods, len(methods)):
                what = {"kind": "app", "method": method["name"], "repeat": repeat, "app": "rocksdb"}
                ops = tried(what, application, method, repeat)
                if not ops:
                    continue
                record({**what, **ops})
                say(f"{repeat}/{repeats} rocksdb {method['name']}: "
                    f"fill {ops['fillrandom']:.0f}, read {ops['readrandom']:.0f} ops/s")
        return 1 if failures else 0


try:
    sys.exit(main())
except Failed as err:
    print(f"measure: FAILED: {err}", file=sys.stderr)
    sys.exit(1)
