#!/usr/bin/env python3
"""Runs weft_test_ranks under an MPI's mpirun and checks what its ranks say: run.py PROGRAM openmpi|mpich WHAT.
WHAT: collectives (and a long training), failures (each way in which a rank can end x each collective), run (scripts/weft-run), examples, hosts. Ends with 77
where that mpirun is not installed."""
import atexit
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

program, flavour, what = sys.argv[1:4]
mpirun = shutil.which("mpirun." + flavour)
if not mpirun:
    mpirun = shutil.which("mpirun")
    said = subprocess.run([mpirun, "--version"], capture_output=True, text=True).stdout if mpirun else ""
    if not mpirun or ("Open MPI" in said) != (flavour == "openmpi"):
        print(f"skipped: no mpirun of {flavour}")
        sys.exit(77)

environment = {k: v for k, v in os.environ.items() if not re.match("OMPI_|PMI|MPI_|SLURM_|OMP_|WEFT_", k)}
environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1",
                "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
                "OMPI_MCA_mpi_show_handle_leaks": "1"}
# What a launcher that was killed leaves behind.
environment["TMPDIR"] = tempfile.mkdtemp(prefix="w")
atexit.register(shutil.rmtree, environment["TMPDIR"], ignore_errors=True)
# What Open MPI, and MPICH's layers, print at the end of a rank that leaves handles behind.
leak = re.compile(r"Dumping information for|was not returned to mpool|leaked handle")
failed = 0


def run(ranks, *arguments, seconds=60, command=None, **more):
    """Exit status, output, wall seconds."""
    begin = time.monotonic()
    command = command or [mpirun, "-n", str(ranks)]
    p = subprocess.run(["timeout", "-k", "5", str(seconds), *command, program, *arguments], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment | more)
    return p.returncode, p.stdout, time.monotonic() - begin


def check(right, name, output):
    global failed
    print(("ok    " if right else "WRONG ") + name)
    if not right:
        failed += 1
        print(output)


if what == "collectives":
    for ranks in (1, 2, 3, 5):
        rc, out, _ = run(ranks, "collectives")
        check(rc == 0 and f"ok, {ranks} ranks" in out and "wrong" not in out and not leak.search(out), f"{ranks} ranks", out)
    rc, out, _ = run(3, "straggle")
    check(rc == 0 and "ok, 3 ranks" in out and "wrong" not in out and not leak.search(out), "10,000 steps, ranks late", out)
    if (pathlib.Path(program).parent.parent / "lib" / "libweft_nccl.so").exists():
        rc, out, _ = run(2, "nccl", WEFT_CUDA_PLUGIN="0")
        check(rc != 0 and re.search(r"^init_process_group: NCCL takes a CUDA device for each rank: turned off by "
                                    r"WEFT_CUDA_PLUGIN=0$", out, re.M), "NCCL without a card", out)
    rc, out, _ = run(2, "collectives", WEFT_MPI_PLUGIN="/nowhere/libweft_mpi.so")
    check(rc != 0 and "there is no /nowhere/libweft_mpi.so" in out and "Debian" in out, "a plugin that is missing", out)
    other = {"openmpi": "mpich", "mpich": "openmpi"}[flavour]
    theirs = pathlib.Path(program).parent.parent / "lib" / f"libweft_mpi_{other}.so"
    if theirs.exists():
        rc, out, _ = run(2, "collectives", WEFT_MPI_PLUGIN=str(theirs))
        check(rc != 0 and "it was built for another MPI" in out, "another MPI's plugin", out)

    # What the launcher's binding takes is said once a machine.
    core = min(os.sched_getaffinity(0))
    one_core = [mpirun, "-n", "2", "taskset", "-c", str(core)]
    if shutil.which("taskset") and len(os.sched_getaffinity(0)) > 1:
        rc, out, _ = run(2, "threads", command=one_core, OMP_NUM_THREADS="2")
        check(out.count("weft:") == 1 and re.search(r"asked for; a core has one: rank 0 \(2 threads, 1 core\), "
              r"1 \(2 threads, 1 core\) \(mpirun --bind-to none", out) and out.count("1 thread\n") == 2, "threads over cores", out)
        rc, out, _ = run(2, "threads", command=one_core, OMP_NUM_THREADS="")
        check(out.count("weft:") == 1 and re.search(r"the launcher bound 2 ranks to 1 of \d+ cores; rank 0 takes 1 thread "
              r"\(mpirun --bind-to none", out), "ranks bound to a core", out)

calls = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "barrier", "send", "split", "backward")


def possible(how, call):
    return not (how == "size" and call in ("barrier", "split", "backward") or
                how == "other" and call in ("barrier", "send", "split", "backward"))


if what == "failures":
    # How rank 2 of 3 ends, which calls, and what every other rank must have heard.
    left = r"rank \d has returned while rank \d waits|rank \d on \S+ failed"
    texts = {"stop": r"rank 2 of 3 on \S+ (did not reach|began but did not end) {call}.* in 3 s; last seen at {call}",
             "skip": left, "throw": left,
             "size": r"calls {call}.* of 5000 f32.* but rank 2 {call}.* of 4999 f32|rank \d on \S+ failed",
             "other": r"rank \d calls {call}.* but rank 2 barrier|rank \d calls barrier|rank \d on \S+ failed",
             "kill": None, "exit": None}     # mpirun ends the others before they hear of it
    does = {"send": "(send|recv)", "split": "all_gather", "backward": "(all_reduce|broadcast)"}    # by other names

    def fails(case):
        how, call = case
        rc, out, seconds = run(3, "fail", how, call, WEFT_TEST_TIMEOUT="3")
        heard = re.findall(r"rank (\d) heard: (.*)", out)
        good = rc != 0 and f"rank 2: {how}" in out and seconds < 25
        if texts[how]:
            pattern = texts[how].replace("{call}", does.get(call, call))
            ranks = {r for r, _ in heard}
            enough = ranks >= {"0", "1"} or (call == "broadcast" and ranks)
            good = good and enough and all(re.search(pattern, t) or "failed" in t for _, t in heard) and \
                any(re.search(pattern, t) for _, t in heard)
        return good, f"{how:6} {call:15} {seconds:5.1f} s", f"status {rc}\n{out}"

    # Over MPICH a collective and a pair, for time; the plugin's code is the same.
    some = calls if flavour == "openmpi" else ("all_reduce", "send")
    cases = [(how, call) for how in texts for call in some if possible(how, call)]
    # Jobs wait, mostly; but MPICH's ranks keep their cores while they do.
    with concurrent.futures.ThreadPoolExecutor(4 if flavour == "openmpi" else 1) as pool:
        for result in pool.map(fails, cases):
            check(*result)
    for how in ("stop", "skip"):
        rc, out, seconds = run(3, "start", how, WEFT_TEST_TIMEOUT="2")
        said = re.search(r"init_process_group: rank [01] on \S+ waited for the other ranks for 2 s, lastly in MPI_\w+: .*"
                         r"timeout in InitOptions|exiting improperly", out)  # Open MPI's mpirun may see a return first
        check(rc != 0 and said and seconds < 25, f"{how:6} before init {seconds:5.1f} s", f"status {rc}\n{out}")

    rc, out, seconds = run(2, "end", WEFT_TEST_TIMEOUT="2")
    check(rc == 0 and "ok, 2 ranks" in out and "weft:" not in out, f"the end waits as set_timeout says {seconds:5.1f} s",
          f"status {rc}\n{out}")
    rc, out, _ = run(2, "unread")
    check(rc != 0 and "weft: send: rank 1 ended without receiving a message of rank 0" in out, "a message that nobody takes",
          f"status {rc}\n{out}")

if what == "table":      # docs/failures.md
    ways = {"stop": "It is stopped (SIGSTOP)", "kill": "It is killed (SIGKILL)", "exit": "It calls _exit(7)",
            "throw": "It throws and its main ends with status 1", "skip": "It returns from main without the call",
            "other": "It calls barrier instead", "size": "It has 4999 elements where the others have 5000"}
    print(f"""# What ranks say when one of them fails

Rank 2 of 3 fails in the third call; the deadline is 3 s. What the other two ranks print, how long the job takes from its
start to its end, and its exit status ({flavour}, written by `tests/distributed/ranks/run.py PROGRAM {flavour} table`; in
`send` rank 2 sends to the others, `backward` is that of DistributedDataParallel). A rank that says nothing was ended by mpirun before it could, or had what it needed.
""")
    for how, title in ways.items():
        print(f"## {title}\n\n| call | rank 0 | rank 1 | s | status |\n|---|---|---|---|---|")
        for call in calls:
            if not possible(how, call):
                continue
            rc, out, seconds = run(3, "fail", how, call, WEFT_TEST_TIMEOUT="3")
            said = {"0": "", "1": ""}
            for rank, text in re.findall(r"rank (\d) heard: (.*)", out):
                said[rank] = re.sub(r" on [\w.-]+(?= (did|began|failed))", " on HOST", text)
            print(f"| `{call}` | {said['0']} | {said['1']} | {seconds:.0f} | {rc} |")
        print()
    print("""## Before the first call, and between hosts

A rank that is stopped or returns before `init_process_group`: the others print `weft: init_process_group: rank 0 on HOST
waited for the other ranks for 3 s, lastly in MPI_Init_thread: ...` and end with status 3; mpirun of Open MPI may see the
return first. Where the cable between two hosts is cut, ranks of both say `rank 3 of 4 on HOST did not reach all_reduce
...`, or that a rank of their own host failed so, and weft-run ends the launcher (`run.py PROGRAM openmpi hosts`).""")

if what == "run":
    script = str(pathlib.Path(__file__).resolve().parents[3] / "scripts" / "weft-run")
    environment.pop("LD_LIBRARY_PATH", None)
    path = {"OMPI_MCA_plm_rsh_agent": "sh"}
    # weft-run takes the first mpirun that fits a plugin: show it this one's alone.
    folder = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"weft-run-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "mpirun").symlink_to(mpirun)
        for tool in ("bash", "sed", "grep", "tr", "nproc", "dirname", "readlink", "head", "id", "timeout", "sh", "env", "kill", "mktemp", "sleep", "rm"):
            if shutil.which(tool):
                (folder / tool).symlink_to(shutil.which(tool))
        for tool in ("orted", "hydra_pmi_proxy"):
            if shutil.which(tool):
                (folder / tool).symlink_to(shutil.which(tool))
        path["PATH"] = f"{folder}"
        rc, out, _ = run(2, "collectives", command=[script, "-n", "2"], **path)
        check(rc == 0 and "[0] ok, 2 ranks" in out, "weft-run -n 2", out)
        rc, out, _ = run(2, "threads", command=[script, "-n", "2", "-t", "3"], **path)
        check(len(re.findall(r"\[(\d)\] rank \1 of 2 on \S+: cores [\d,]+, [123] threads?", out)) == 2, "threads", out)
        rc, out, _ = run(3, "fail", "kill", "all_reduce", command=[script, "-n", "3"], **path)
        check(rc != 0 and "rank 2 was ended by signal 9 (SIGKILL)" in out, "weft-run names who was killed", out)
        rc, out, _ = run(2, "fail", "exit", "all_reduce", command=[script, "-n", "2"], **path)
        check(rc != 0 and "rank 1 ended with status 7" in out, "weft-run names who ended", out)
        rc, out, _ = run(2, "start", "skip", command=[script, "-n", "2"], WEFT_TEST_TIMEOUT="2", **path)
        check(rc != 0 and "ended with status 0 before that: rank 1\n" in out, "weft-run names who never began", out)
        for arguments, says in ((["-n", "x"], "number of ranks"), (["-n", "2", "--what"], "no option --what"), ([], "-n must")):
            p = subprocess.run([script, *arguments], capture_output=True, text=True)
            check(p.returncode == 2 and says in p.stderr, f"weft-run {arguments}", p.stderr)
    finally:
        shutil.rmtree(folder)

if what == "examples":
    # A run on two ranks, and the same one cut and resumed: the same weights.

    def weights(file):
        data = pathlib.Path(file).read_bytes()
        return data[8 + int.from_bytes(data[:8], "little"):]

    trainings = {"segmentation": "--scenes 12 --steps 6 --every 2 --eval-every 0 --batch 4 --crop 48 48",
                 "segmentation3d": "--size 4 32 32 --patch 4 32 32 --steps 4 --every 2 --batch 4 --width 4"}
    for name, options in trainings.items():
        example = pathlib.Path(program).parent / name
        if not example.exists():
            continue
        program = str(example)
        with tempfile.TemporaryDirectory() as folder:
            whole, parts = folder + "/whole", folder + "/parts"
            train = ["train", *options.split()]
            rc, out, _ = run(2, *train, "--out", whole)
            check(rc == 0 and out.count("report.html") == 1, f"{name}: two ranks train, one tells", out)
            rc, out, _ = run(2, *train, "--out", parts, "--stop-at", "2")
            check(rc == 0 and "--resume goes on" in out, f"{name}: stopped", out)
            rc, out, _ = run(2, *train, "--out", parts, "--resume")
            check(rc == 0 and weights(whole + "/model.safetensors") == weights(parts + "/model.safetensors"),
                  f"{name}: resumed with the same bits", out)
            for before, after in ((1, 2), (2, 1), (2, 4)):
                folder_of = f"{folder}/{before}-{after}"
                run(before, *train, "--out", folder_of, "--stop-at", "2")
                rc, out, _ = run(after, *train, "--out", folder_of, "--resume")
                check(rc == 0 and out.count("report.html") == 1, f"{name}: {before} -> {after} ranks", out)
            rc, out, _ = run(2, *train, "--out", parts)
            check(rc != 0 and "--resume" in out, f"{name}: a folder that holds a run is refused", out)

if what == "hosts":
    # Two network namespaces with a cable between them stand for two hosts; mpirun's way to the other is ip, not ssh.
    tag = f"weft{os.getpid()}"
    hosts = {tag + "a": "10.77.0.1", tag + "b": "10.77.0.2"}

    def ip(*arguments, **more):
        return subprocess.run(["ip", *arguments], capture_output=True, text=True, **more)

    def clean():
        for host in hosts:
            for pid in ip("netns", "pids", host).stdout.split():
                subprocess.run(["kill", "-9", pid], capture_output=True)
            ip("netns", "del", host)

    if flavour != "openmpi" or os.geteuid() != 0 or not shutil.which("ip") or ip("netns", "add", tag + "a").returncode:
        print("skipped: takes Open MPI, root, iproute2 and network namespaces")
        sys.exit(77)
    import threading
    try:
        ends = {host: f"w{os.getpid()}{host[-1]}" for host in hosts}
        ip("netns", "add", tag + "b", check=True)
        ip("link", "add", ends[tag + "a"], "type", "veth", "peer", "name", ends[tag + "b"], check=True)
        for host, address in hosts.items():
            ip("link", "set", ends[host], "netns", host, check=True)
            ip("-n", host, "addr", "add", address + "/24", "dev", ends[host], check=True)
            for link in ("lo", ends[host]):
                ip("-n", host, "link", "set", link, "up", check=True)
        with tempfile.TemporaryDirectory() as folder:
            agent = pathlib.Path(folder) / "agent"
            cases = "".join(f"{address}) host={host} ;;\n" for host, address in hosts.items())
            agent.write_text(f"""#!/bin/sh
case $1 in
{cases}*) exit 1 ;;
esac
shift
exec ip netns exec $host unshare --uts sh -c 'hostname "$0"; exec sh -c "$*"' $host "$@"
""")
            agent.chmod(0o755)
            more = {"OMPI_MCA_plm_rsh_agent": str(agent), "OMPI_MCA_plm_rsh_no_tree_spawn": "1",
                    "OMPI_MCA_btl": "tcp,vader,self", "OMPI_MCA_btl_tcp_if_include": "10.77.0.0/24",
                    "OMPI_MCA_oob_tcp_if_include": "10.77.0.0/24", "WEFT_TEST_TIMEOUT": "3"}
            start = f'hostname {tag}a; exec "$0" "$@"'
            weft_run = str(pathlib.Path(__file__).resolve().parents[3] / "scripts" / "weft-run")
            command = ["ip", "netns", "exec", tag + "a", "unshare", "--uts", "sh", "-c", start, weft_run, "-n", "4",
                       "-t", "1", "-H", ",".join(hosts.values())]
            rc, out, seconds = run(4, "collectives", command=command, **more | {"WEFT_TEST_TIMEOUT": "30"})
            check(rc == 0 and "ok, 4 ranks" in out, f"two hosts, two ranks each {seconds:.1f} s", out)
            rc, out, seconds = run(4, "fail", "stop", "all_reduce", command=command, **more)
            named = re.search(f"rank 3 of 4 on {tag}b did not reach all_reduce", out)
            check(rc != 0 and named and seconds < 30, f"a rank of the other host is stopped {seconds:.1f} s", out)
            threading.Timer(3, lambda: ip("-n", tag + "a", "link", "set", ends[tag + "a"], "down")).start()
            rc, out, seconds = run(4, "loop", command=command, **more)
            heard = {r for r in re.findall(r"rank (\d) heard: .*(?:did not|failed)", out)}
            check(rc != 0 and heard >= {"0", "1"} and seconds < 50, f"the cable is cut {seconds:.1f} s", out)
    finally:
        clean()

sys.exit(1 if failed else 0)
