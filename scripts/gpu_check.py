#!/usr/bin/env python3
"""What scripts/gpu-check.sh run does: the proof with a card, in parts that know how much time is left.

  gpu-check.sh run [PART...]    parts, in this order: smoke suites bench ncu ranks style sanitizer; default: all that are not done

smoke      driver, cuBLASLt, a first kernel, a copy, products; where one fails the check ends and names it
suites     each test suite that uses a device, and each family of golden vectors, in a process of its own
bench      weft and PyTorch, each program's workloads in one process, beside what was predicted
ncu        what the card's counters say of the slowest kernels
ranks      NCCL, a rank for each card
style      a style transfer on the CPU and on the card
sanitizer  memcheck and racecheck over suites with kernels of their own

Environment: OUT, where report.md, logs.tar.gz and state.json go (gpu-report), renewed after every part; WEFT_CHECK_SECONDS, the
time of this call (570); WEFT_CHECK_WORK, what is kept between calls (gpu-work), and WEFT_CHECK_STATE, a state.json of an earlier
call where that folder is gone; WEFT_CHECK_DEVICE, cuda, or cpu for a rehearsal; WEFT_CHECK_PYTHON, the Python that has PyTorch.
A second call goes on where the first was cut.
"""
import concurrent.futures
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time

START = time.monotonic()
ROOT = pathlib.Path(os.environ.get("ROOT") or pathlib.Path(__file__).resolve().parent)
OUT = pathlib.Path(os.environ.get("OUT") or "gpu-report").resolve()
WORK = pathlib.Path(os.environ.get("WEFT_CHECK_WORK") or "gpu-work").resolve()
DEVICE = os.environ.get("WEFT_CHECK_DEVICE") or "cuda"
SECONDS = float(os.environ.get("WEFT_CHECK_SECONDS") or 570)
PYTHON = os.environ.get("WEFT_CHECK_PYTHON") or "python3"
SAMPLES = float(os.environ.get("SECONDS_EACH") or 0.5)
LIMIT = 60          # of a suite
RESERVE = 8         # of a call, for the report and the archive
sys.path.insert(0, str(ROOT / "bench"))
import gpu_predict  # noqa: E402  (in the archive it lies in bench/)


def left():
    return SECONDS - RESERVE - (time.monotonic() - START)


class State:
    """What is known so far: kept after every part, so that a call that is cut loses one part at most."""

    def __init__(self):
        for path in (WORK / "state.json", pathlib.Path(os.environ.get("WEFT_CHECK_STATE") or "/nonexistent")):
            if path.is_file():
                self.data = json.loads(path.read_text())
                return
        self.data = {"done": [], "items": {}, "head": [], "times": [], "bench": {}}

    def item(self, part):
        return self.data["items"].setdefault(part, {})

    def keep(self):
        WORK.mkdir(parents=True, exist_ok=True)
        (OUT / "report.md").write_text(report(self))
        for path in (WORK / "state.json", OUT / "state.json"):
            path.with_suffix(".new").write_text(json.dumps(self.data))
            path.with_suffix(".new").replace(path)
        if (WORK / "logs").is_dir():
            with tarfile.open(OUT / "logs.tar.gz.new", "w:gz", compresslevel=6) as tar:
                tar.add(WORK / "logs", "logs")
            (OUT / "logs.tar.gz.new").replace(OUT / "logs.tar.gz")


class Cut(Exception):
    """No time is left for a part."""


def library_path():
    """weft's own libraries, and cuBLASLt and NCCL of the toolkit or of PyTorch's wheels. PyTorch is left with its own."""
    folders = [ROOT / "lib"]
    wheels = subprocess.run([PYTHON, "-c", "import nvidia; print(*nvidia.__path__)"], capture_output=True, text=True)
    places = [pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "lib64"]
    for base in wheels.stdout.split():
        places += sorted(pathlib.Path(base).glob("*/lib"))
    folders += [p for p in places if (p / "libcublasLt.so.13").exists() or (p / "libnccl.so.2").exists()]
    return ":".join([str(f) for f in folders] + [p for p in [os.environ.get("LD_LIBRARY_PATH")] if p])


class Ran:
    def __init__(self, code, text, seconds, cut):
        self.code, self.text, self.seconds, self.cut = code, text, seconds, cut

    def last(self, pattern=None):
        lines = [line for line in self.text.splitlines() if line.strip() and (not pattern or re.search(pattern, line))]
        return lines[-1].strip()[:160] if lines else "no output"


def run(name, command, limit, ours=True, env=None, text=None, silence=None):
    """Runs a program for `limit` seconds at most, or what is left, and until it has said nothing for `silence` seconds; its
    output goes to a log."""
    seconds = min(limit, left())
    if seconds < 2:
        raise Cut(name)
    environment = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive", WEFT_TEST_DATA=TESTS, **(env or {}))
    if ours:
        environment["LD_LIBRARY_PATH"] = PATH
    (WORK / "logs").mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    with open(WORK / "logs" / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}.log", "w+", errors="replace") as log:
        process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT, env=environment, text=True,
                                   stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL, start_new_session=True)
        if text is not None:
            with contextlib.suppress(BrokenPipeError):      # it ended before: its log says why
                process.stdin.write(text)
                process.stdin.close()
        size, heard, code = 0, begin, None
        while code is None:
            try:
                code = process.wait(timeout=0.5 if silence else seconds)
            except subprocess.TimeoutExpired:
                now, grown = time.monotonic(), os.fstat(log.fileno()).st_size
                if grown > size:
                    size, heard = grown, now
                if now - begin >= seconds or silence and now - heard >= silence:
                    os.killpg(process.pid, 9)
                    process.wait()
                    code = 124
        log.seek(0)
        output = log.read()
    cut = code == 124 and seconds < limit and time.monotonic() - begin >= seconds
    return Ran(code, output, time.monotonic() - begin, cut)


def bench_program():
    return ROOT / "bin/weft-bench"


def number(text, field):
    found = re.findall(rf'"{field}": (\[?[-0-9.e+naif]+)', text)
    return float(found[-1].lstrip("[")) if found else None


# ---- The parts. Each fills its items, of which each is {"ok": bool, "text": str}, and leaves out what is there already.

def smoke(state):
    items = state.item("smoke")

    def step(name, action):
        if items.get(name, {}).get("ok"):
            return
        try:
            text, ok = action(), True
        except Cut:
            raise
        except Exception as e:      # whatever it is, it is the answer
            text, ok = str(e).strip() or type(e).__name__, False
        items[name] = {"ok": ok, "text": text}
        if not ok:
            state.data["stopped"] = f"smoke: {name}: {text}"
            raise SystemExit(1)

    def driver():
        if DEVICE == "cpu":
            return "none: a rehearsal on the CPU"
        said = run("smoke driver", ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm",
                                    "--format=csv,noheader"], 30, ours=False)
        cuda = ctypes.CDLL("libcuda.so.1")
        status, version = cuda.cuInit(0), ctypes.c_int()
        cuda.cuDriverGetVersion(ctypes.byref(version))
        if status != 0 or version.value < 13000:
            raise RuntimeError(f"cuInit said {status}, the driver is for CUDA {version.value / 1000:.1f}, 13.0 is needed; {said.last()}")
        state.data["card"] = said.last()
        return f"{said.last()}, CUDA {version.value / 1000:.1f}"

    def cublas():
        if DEVICE == "cpu":
            return "not needed"
        for folder in PATH.split(":"):
            if (pathlib.Path(folder) / "libcublasLt.so.13").exists():
                ctypes.CDLL(f"{folder}/libcublasLt.so.13")
                return folder
        raise RuntimeError("libcublasLt.so.13 is neither in the toolkit nor in PyTorch's wheels")

    def same(workload, dtype):
        """The workload's first losses on the card, against the CPU's."""
        def losses(device):
            r = run(f"smoke {workload} {dtype} {device}", [bench_program(), workload, "--device", device, "--dtype", dtype, "--iters", "1",
                                                           "--threads", "4"], 60)
            if r.code != 0:
                raise RuntimeError(f"exit {r.code}: {r.last()}")
            return number(r.text, "losses"), number(r.text, "median_ms")
        (card, ms), (cpu, _) = losses(DEVICE), losses("cpu")
        if card is None or cpu is None or abs(card - cpu) > (2e-2 if dtype == "bf16" else 1e-3) * max(1, abs(cpu)):
            raise RuntimeError(f"{card} on {DEVICE}, {cpu} on the CPU")
        return f"{card:.6g} as on the CPU, {ms:.3f} ms"

    step("driver", driver)
    step("cuBLASLt", cublas)
    step("first kernel", lambda: same("addmul", "f32"))
    step("copy", lambda: same("copy64m", "f32"))
    step("product, f32", lambda: same("matmul4096", "f32"))
    step("product, bf16", lambda: same("matmul4096", "bf16"))


def suites(state):
    """Eight at a time; a context that is lost costs one."""
    items = state.item("suites")
    golden = ["nn", "modules", "functions", "composites", "special", "ops", "conv", "optim", "encoding", "elementwise", "dtypes",
              "reduce", "search", "arrange", "places"]
    work = [(f"golden {f}", [ROOT / "bin/golden_driver", "--device", DEVICE, f"{TESTS}/golden/data/{f}"], None) for f in golden]
    for line in (ROOT / "suites.txt").read_text().splitlines():
        program, suite = line.split(" ", 1)
        work.append((f"{program}: {suite}", [ROOT / "bin" / program, f"-ts={suite}"],
                     {"WEFT_TEST_DEVICES": DEVICE, "WEFT_REQUIRE_CUDA": "0" if DEVICE == "cpu" else "1"}))
    work = [w for w in work if w[0] not in items]

    def one(name, command, env):
        if left() < 5:
            raise Cut(name)
        r = run(name, command, LIMIT, env=env)
        if r.cut:
            raise Cut(name)
        skipped = sorted(set(re.findall(r"^(?:not supported on|skipped).*", r.text, re.M)))
        ran = re.search(r"test cases: +(\d+)", r.text)
        text = r.last("test cases:|passed|FAIL" if r.code else "test cases:|passed")
        if r.code == 124:
            text = f"not finished in {LIMIT} s"
        elif r.code:
            text += "; " + r.last("ERROR|FAIL|error|cuda")
        return {"ok": r.code == 0 and not (ran and ran[1] == "0"), "text": text, "seconds": round(r.seconds, 1), "skipped": skipped}

    cut = False
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = {pool.submit(one, *w): w[0] for w in work}
        for done in concurrent.futures.as_completed(running):
            try:
                items[running[done]] = done.result()
            except Cut:
                cut = True
    if cut:
        raise Cut("suites")


def bench(state):
    """Each program gets the workloads that it has no row of yet; one that dies is started anew behind the one it died of."""
    rows = state.data["bench"]
    keys = [f"{name} {dtype} {batch}" for name, dtype, batch in gpu_predict.workloads()]
    common = ["--many", "--device", DEVICE, "--seconds", SAMPLES, "--threads", 4]
    torch = [PYTHON, ROOT / "bench/peer_torch.py"]
    programs = {"weft": [bench_program()], "PyTorch": torch, "tuned": torch + ["--tuned"]}
    if subprocess.run([PYTHON, "-c", "import torch, numpy"], capture_output=True).returncode:
        del programs["PyTorch"], programs["tuned"]
    cut = None
    for label, command in programs.items():
        mine = rows.setdefault(label, {})
        while todo := [k for k in keys if k not in mine]:
            before = len(mine)
            if left() < 10:
                raise Cut("bench")
            r = run(f"bench {label}", command + common, 3600, ours=label == "weft", text="\n".join(todo) + "\n",
                    silence=45 if DEVICE != "cpu" else 300)
            for line in r.text.splitlines():
                if line.startswith("{"):
                    row = json.loads(line)
                    key = row["failed"] if "failed" in row else f"{row['workload']} {row['dtype']} {row['batch']}"
                    mine[key] = None if "failed" in row else row["median_ms"]
            if r.cut:
                cut = "bench"
                break
            missing = [k for k in todo if k not in mine]
            if missing:                  # the process ended: by this one, or without a row at all
                mine[missing[0]] = None
            elif len(mine) == before:
                break
    if cut:
        raise Cut(cut)


NCU = (("softmax", "softmax", "f32", "softmax"), ("sum", "sum64m", "f32", "reduce"), ("batch norm backward", "bnrelu", "bf16", "Back"),
       ("convolution: windows, products, spread", "conv33", "f32", "gather|Spread|conv"), ("row norm", "layernorm", "f32", "row_kernel|Row"),
       ("pool backward", "maxpool", "f32", "max_pool_(scatter|winner|gather)"), ("whole sums by columns", "sum64m_columns", "f32", "reduce"))


def toolkits(name, items):
    """The path of a tool of the toolkit; None, and a line in items, where there is nothing to do."""
    tool = shutil.which(name) or shutil.which("/usr/local/cuda/bin/" + name)
    if DEVICE != "cpu" and tool:
        return tool
    items[name] = {"ok": True, "text": "skipped: " + ("no card" if DEVICE == "cpu" else f"there is no {name}")}
    return None


def ncu(state):
    items = state.item("ncu")
    if not (tool := toolkits("ncu", items)):
        return
    for name, workload, dtype, kernels in NCU:
        if name in items:
            continue
        r = run(f"ncu {name}", [tool, "--clock-control", "none", "--section", "SpeedOfLight", "--section", "LaunchStats", "--section", "Occupancy",
                                "--section", "MemoryWorkloadAnalysis", "--kernel-name-base", "demangled", "--kernel-name", f"regex:{kernels}",
                                "--launch-count", "4", bench_program(), workload, "--dtype", dtype, "--device", DEVICE, "--iters", "1"], 60)
        if r.cut:
            raise Cut(name)
        wanted = r"^ +(weft::.*|void weft::.*)|^ +(Duration|DRAM Throughput|Memory Throughput|Compute \(SM\) Throughput|Registers Per Thread|Achieved Occupancy|L2 Hit Rate) .*"
        lines = [re.sub(r"\s+", " ", m[0].strip())[:140] for m in re.finditer(wanted, r.text, re.M)]
        items[name] = {"ok": True, "text": " / ".join(lines) if lines else f"no counters (exit {r.code}): {r.last()}"}
        if not lines and "==ERROR==" in r.text:
            return                       # it does not run here: once is enough


def ranks(state):
    items = state.item("ranks")
    if DEVICE == "cpu":
        items["NCCL"] = {"ok": True, "text": "skipped: no card"}
        return
    cards = run("cards", ["nvidia-smi", "-L"], 20, ours=False).text.count("GPU ")
    meet = WORK / f"meet_{os.getpid()}"
    def one(rank):
        return run(f"rank {rank}", [ROOT / "bin/weft_test_ranks", "cards", meet], 60, env={"RANK": str(rank), "WORLD_SIZE": str(cards)})
    with concurrent.futures.ThreadPoolExecutor(max(1, cards)) as pool:
        ran = list(pool.map(one, range(cards)))
    if any(r.cut for r in ran):
        raise Cut("ranks")
    items["NCCL"] = {"ok": cards > 0 and all(r.code == 0 for r in ran), "text": f"{cards} cards: {ran[-1].last() if ran else 'none'}"}


def style(state):
    items = state.item("style")
    program, here = ROOT / "bin/style_transfer", WORK / "style"
    here.mkdir(parents=True, exist_ok=True)
    run("style patterns", [program, "styles", "--out", here, "--size", "256"], 60)
    for place in dict.fromkeys(("cpu", DEVICE)):
        if place in items:
            continue
        r = run(f"style {place}", [program, "optimise", "--content", here / "woven.png", "--style", here / "waves.png", "--features", "random",
                                   "--steps", "20", "--size", "256", "--device", place, "--out", here / f"style_{place}.png"], 90)
        if r.cut:
            raise Cut("style")
        items[place] = {"ok": r.code == 0, "text": r.last("steps in") if r.code == 0 else r.last()}


SANITIZED = (("memcheck", "weft_test_core", "streams"), ("memcheck", "weft_test_autograd", "reduce,softmax,norm,pool,loss"),
             ("racecheck", "weft_test_autograd", "softmax,scan"), ("memcheck", "weft_test_autograd", "index,random,shape,conv,matmul"),
             ("memcheck", "weft_test_optim", "optim"), ("memcheck", "weft_test_core", "tensor,views"),
             ("racecheck", "weft_test_autograd", "reduce,norm,pool,loss"))


def sanitizer(state):
    items = state.item("sanitizer")
    if not (tool := toolkits("compute-sanitizer", items)):
        return
    for kind, program, names in SANITIZED:
        name = f"{kind}, {program} {names}"
        if name in items:
            continue
        r = run(name, [tool, "--tool", kind, "--error-exitcode", "9", ROOT / "bin" / program, f"-ts={names}"], 300,
                env={"WEFT_TEST_DEVICES": DEVICE, "WEFT_REQUIRE_CUDA": "1", "WEFT_CUDA_ALLOCATOR": "direct"})
        if r.cut:
            raise Cut("sanitizer")
        if r.code not in (0, 9) and "Device not supported" in r.text:
            items[name] = {"ok": True, "text": "skipped: it does not run on this machine"}
            return
        items[name] = {"ok": r.code == 0, "text": "ok" if r.code == 0 else "not finished in 300 s" if r.code == 124 else r.last("=====")}


PARTS = {"smoke": smoke, "suites": suites, "bench": bench, "ncu": ncu, "ranks": ranks, "style": style, "sanitizer": sanitizer}


# ---- The report.

def bench_table(rows):
    card = "h200" if "H200" in rows.get("card", "H200") else "h100"
    predicted = gpu_predict.predicted(card)
    lines = [f"Median ms of an iteration, the device waited for after each. PyTorch: as it comes, and tuned (channels-last, fused optimisers). "
             f"Expected: bench/gpu_predict.py for an {card.upper()}.", "",
             "| workload | weft | PyTorch | tuned | weft / faster | floor | expected | weft / expected | PyTorch expected |", "|---|---|---|---|---|---|---|---|---|"]
    def shown(v, digits=3):
        return "-" if v is None else f"{v:.{digits}f}"
    for key, (floor, ours, theirs) in predicted.items():
        name = " ".join(map(str, key))
        if not any(name in rows.get(p, {}) for p in ("weft", "PyTorch", "tuned")):
            continue
        ms = [rows.get(p, {}).get(name) for p in ("weft", "PyTorch", "tuned")]
        best = min((v for v in ms[1:] if v is not None), default=None)
        label = f"{key[0]} {key[1]}" + (f" batch {key[2]}" if key[2] else "")
        lines.append(f"| {label} | {'failed' if name in rows.get('weft', {}) and ms[0] is None else shown(ms[0])} | {shown(ms[1])} | {shown(ms[2])} | "
                     f"{shown(ms[0] / best if ms[0] and best else None, 2)} | {shown(floor)} | {shown(ours)} | "
                     f"{shown(ms[0] / ours if ms[0] else None, 2)} | {shown(theirs)} |")
    return lines


def report(state):
    data = state.data
    lines = [f"# weft on {DEVICE}: {time.strftime('%Y-%m-%d', time.gmtime())}", ""] + [f"- {line}" for line in data["head"]] + [""]
    if "stopped" in data:
        lines += [f"**Stopped at {data['stopped']}**", ""]
    for part in PARTS:
        items = data["items"].get(part, {})
        if part == "bench" and data["bench"]:
            lines += ["## bench", ""] + bench_table(dict(data["bench"], card=data.get("card", "H200"))) + [""]
        if not items:
            continue
        bad = [name for name, i in items.items() if not i["ok"]]
        lines += [f"## {part}: {len(items) - len(bad)} of {len(items)} ok" + ("" if part in data["done"] else ", not finished"), ""]
        if part == "suites":        # what is well is a line, or the page is long
            lines += [f"- **{name}**: {items[name]['text']}" for name in bad]
            slow = sorted(items.items(), key=lambda i: -i[1].get("seconds", 0))[:5]
            lines += ["- slowest: " + ", ".join(f"{name} {i['seconds']} s" for name, i in slow)]
            skipped = sorted({s for i in items.values() for s in i.get("skipped", [])})
            lines += ["", "Not supported there:", ""] + [f"- {s[:150]}" for s in skipped] if skipped else []
        else:
            lines += [f"- {name}: {i['text']}" if i["ok"] else f"- **{name}**: {i['text']}" for name, i in items.items()]
        lines += [""]
    lines += ["## Time", ""] + [f"- {t}" for t in data["times"]] + [""]
    waiting = [p for p in PARTS if p not in data["done"]]
    lines += [f"Still to do: {', '.join(waiting)}." if waiting else "All parts are done."]
    return "\n".join(lines) + "\n"


def main(parts):
    unknown = [p for p in parts if p not in PARTS]
    if unknown or not (ROOT / "bin/golden_driver").exists():
        sys.exit(f"gpu-check: unknown part {unknown[0]}" if unknown else f"gpu-check: no programs in {ROOT}/bin; run it in the unpacked archive")
    OUT.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    state = State()
    data = state.data
    data.pop("stopped", None)
    if not data["head"]:
        commit = ROOT / "commit"
        model = re.search(r"model name.*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
        torch = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True).stdout.strip()
        data["head"] = [f"commit {commit.read_text().strip() if commit.exists() else 'unknown'}",
                        f"{model[1] if model else '?'}, {os.cpu_count()} processors", f"PyTorch {torch or 'none'}"]
    status = 0
    for part in parts or [p for p in PARTS if p not in data["done"]]:
        if parts:       # asked for by name: anew
            data["items"].pop(part, None)
            data["done"] = [p for p in data["done"] if p != part]
            if part == "bench":
                data["bench"] = {}
        begin, note = time.monotonic(), ""
        try:
            if left() < 5:
                raise Cut(part)
            PARTS[part](state)
            data["done"].append(part)
        except Cut as cut:
            note, status = f", cut at {cut}", 3
        except SystemExit:
            note, status = ", stopped the check", 1
        except Exception as e:      # a fault of this program costs its part
            state.item(part)["gpu_check.py"] = {"ok": False, "text": repr(e)}
            note = f", broke off: {e!r}"
        data["times"].append(f"{part}: {time.monotonic() - begin:.0f} s{note} ({time.monotonic() - START:.0f} s into the call)")
        print(f"gpu-check: {data['times'][-1]}", flush=True)
        state.keep()
        if status:
            break
    bad = sum(not i["ok"] for items in data["items"].values() for i in items.values())
    print(f"gpu-check: {OUT}/report.md; {bad} failed" + ("; a further call goes on from here" if status == 3 else ""))
    sys.exit(status or (1 if bad else 0))


TESTS = os.environ.get("WEFT_TEST_DATA") or str(ROOT / "tests")
PATH = library_path()
if __name__ == "__main__":
    main(sys.argv[1:])
