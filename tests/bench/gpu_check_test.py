"""scripts/gpu_check.py over programs that pretend: what it stops at, what a crash costs, and that a second call goes on."""
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent

SUITE = """#!{python}
import os, sys, time
suite = sys.argv[1].removeprefix("-ts=")
if suite == "crashes": os.abort()
if suite == "slow": time.sleep(float(os.environ.get("SLOW", "0")))
print("not supported on cpu: sorting")
print("[doctest] test cases:", 0 if suite == "empty" else 3, "|")
"""
BENCH = """#!{python}
import json, os, sys
def row(name, dtype, batch):
    print(json.dumps(dict(workload=name, dtype=dtype, batch=batch, losses=[1.0], median_ms=0.5)), flush=True)
if "--many" in sys.argv:
    for line in sys.stdin:
        name, dtype, batch = line.split()
        if name == "softmax": os.abort()
        row(name, dtype, int(batch))
elif os.environ.get("WRONG") == sys.argv[1]:
    print("cuda: launch of a kernel: no kernel image"); sys.exit(1)
else:
    row(sys.argv[1], "f32", 0)
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("{python}", sys.executable))
    path.chmod(0o755)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        root = folder / "weft-gpu"
        write(root / "bin/weft_test_core", SUITE)
        write(root / "bin/golden_driver", f"#!{sys.executable}\nprint('7 passed')\n")
        write(root / "bin/weft-bench", BENCH)
        write(root / "bin/style_transfer", f"#!{sys.executable}\nprint('20 steps in 1 s')\n")
        write(root / "suites.txt", "\n".join(f"weft_test_core {s}" for s in ("good", "crashes", "slow", "empty")) + "\n")
        write(root / "python", "#!/bin/sh\nexit 1\n")       # one without PyTorch
        write(root / "bench/gpu_predict.py", (REPOSITORY / "bench/gpu_predict.py").read_text())

        def call(*parts, seconds=60, work="work", **env):
            environment = dict(os.environ, ROOT=str(root), OUT=str(folder / "out"), WEFT_CHECK_WORK=str(folder / work), WEFT_CHECK_DEVICE="cpu",
                               WEFT_CHECK_SECONDS=str(seconds), WEFT_CHECK_PYTHON=str(root / "python"), WEFT_TEST_DATA=str(root), **env)
            r = subprocess.run([sys.executable, "-B", REPOSITORY / "scripts/gpu_check.py", *parts], env=environment, capture_output=True,
                               text=True, timeout=100)
            assert r.returncode in (0, 1, 3), r.stderr
            return r.returncode, (folder / "out/report.md").read_text()

        code, report = call(WRONG="matmul4096", work="first")
        assert code == 1 and "**Stopped at smoke: product, f32: exit 1: cuda: launch of a kernel: no kernel image**" in report, report
        assert "- copy: 1 as on the CPU" in report and "suites" not in report.split("Still to do")[0], report

        code, report = call(seconds=16, SLOW="60")      # cut while a suite runs
        assert code == 3 and "suites, bench" in report.splitlines()[-1] and "not finished" in report, report
        state = json.loads((folder / "out/state.json").read_text())
        assert "weft_test_core: good" in state["items"]["suites"] and "weft_test_core: slow" not in state["items"]["suites"], state
        assert any("good" in name for name in tarfile.open(folder / "out/logs.tar.gz").getnames())

        moved = folder / "state.json"                   # another machine: nothing but the file
        moved.write_text(json.dumps(state))
        code, report = call(work="elsewhere", WEFT_CHECK_STATE=str(moved))
        assert code == 1 and "All parts are done." in report, report
        assert "## suites: 17 of 19 ok" in report and "**weft_test_core: crashes**" in report and "**weft_test_core: empty**" in report, report
        assert "not supported on cpu: sorting" in report, report
        assert "| softmax f32 | failed |" in report and "| layernorm f32 | 0.500 |" in report and "| resnet18 bf16 batch 64 | 0.500 |" in report, report

        code, report = call("suites", work="elsewhere")         # asked for by name: anew, and the rest stays
        assert code == 1 and "| layernorm f32 | 0.500 |" in report and report.count("- suites: ") == 3, report
    print("gpu_check_test: passed")


if __name__ == "__main__":
    main()
