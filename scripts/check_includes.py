#!/usr/bin/env python3
"""Checks who includes whom, against section 1 of docs/design.md, how long files are, and the names of tests.

  scripts/check_includes.py [ROOT]      one line per breach, exit 1 when there is one
  scripts/check_includes.py --self-test seeds one breach of every kind and expects it to be found
"""
import os
import re
import sys
import tempfile

# The arrows of the design, closed: a folder may include the folders listed with it.
ALLOWED = {
    "core": {"core"},
    "backends/cpu": {"core", "backends/cpu"},
    "backends/cuda": {"core", "backends/cuda"},
    "autograd": {"core", "autograd"},
    "io": {"core", "autograd", "io"},
    "data": {"core", "autograd", "io", "data"},
    "distributed": {"core", "autograd", "distributed"},
    "nn": {"core", "autograd", "distributed", "nn"},
    "optim": {"core", "autograd", "optim"},
    "train": {"core", "autograd", "io", "data", "distributed", "nn", "optim", "train"},
}
PUBLIC = {"core", "autograd", "nn", "optim", "io", "data", "distributed", "train"}   # what weft.h may show

STANDARD = set("""
algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono cinttypes
climits cmath codecvt compare complex concepts condition_variable csetjmp csignal cstdarg cstddef cstdint cstdio
cstdlib cstring ctime cwchar deque exception execution filesystem forward_list fstream functional future
initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map memory memory_resource
mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator semaphore set
shared_mutex source_location span sstream stack stdexcept stop_token streambuf string string_view syncstream
system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility valarray variant
vector version
""".split())
# What weft.h must not bring into every program: each takes a tenth of a second and more to compile.
HEAVY = set("""
barrier chrono condition_variable filesystem future iostream latch mutex random ranges regex semaphore shared_mutex
stop_token thread
""".split())
SYSTEM = re.compile(r"^(sys/|linux/|asm/|netinet/|arpa/)|^(unistd|fcntl|dlfcn|pthread|sched|signal|poll|spawn|dirent|"
                    r"errno|malloc|execinfo|stdlib|stdio|stdint|string|setjmp|math|time|limits|termios|ucontext|cxxabi)\.h$")
# Third-party header -> the places (path patterns) where it may stand.
THIRD_PARTY = [
    (r"^(dnnl.*\.h(pp)?|oneapi/.*)$", r"^backends/cpu/onednn/"),
    (r"^(cblas|lapacke|openblas_config)\.h$", r"^backends/cpu/blas/"),
    (r"^(.*intrin\.h|arm_neon\.h)$", r"^backends/"),
    (r"^omp\.h$", r"^core/parallel\.cpp$"),
    (r"^(cuda.*|cublas.*|cudnn.*|cub/.*|nvtx.*)$", r"^backends/cuda/"),
    (r"^(mpi|nccl)\.h$", r"^(distributed|tests/distributed/nccl)/.*\.(cpp|cu)$"),
    (r"^(png|jpeglib|jerror|zlib|tiffio)\.h$", r"^io/.*\.cpp$"),
    (r"^hdf5\.h$", r"^io/hdf5/.*\.cpp$"),
    (r"^nlohmann/.*$", r"^(io/.*\.cpp$|tests/)"),
    (r"^CLI/.*$", r"^(examples|bench)/"),
    (r"^(doctest|sanitizer)/.*$", r"^tests/"),
    (r"^(torch|ATen|c10)/.*$", r"^bench/libtorch/"),
]
LONG, TOO_LONG = 500, 700
SOURCES = (".h", ".cpp", ".cu", ".cuh")
TOP = ("core", "autograd", "nn", "optim", "backends", "io", "data", "distributed", "train", "examples", "tests", "bench")
TEST_NAME_SPLIT = re.compile(r'TEST_CASE\("[^"]*;')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "backends" else parts[0]


def files_of(root):
    for top in TOP:
        for where, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith(SOURCES):
                    yield os.path.relpath(os.path.join(where, name), root)
    if os.path.exists(os.path.join(root, "weft.h")):
        yield "weft.h"


def check_weft(path, target, root):
    """The breach, or None, of including weft/<target> in path."""
    if not os.path.exists(os.path.join(root, target)):
        return f"weft/{target} does not exist"
    here, there = folder_of(path), folder_of(target)
    if path == "weft.h":
        return None if there in PUBLIC else "the umbrella header shows public folders only"
    if here == "examples":
        return None if target == "weft.h" else "an example includes <weft/weft.h> and nothing else of weft"
    if here in ("tests", "bench"):
        return None
    if target == "weft.h":
        return "the umbrella header is for users, not for the library"
    if there not in ALLOWED.get(here, set()):
        return f"{here} may include only {', '.join(sorted(ALLOWED.get(here, {'nothing'})))}"
    return None


def check_include(path, bracket, target, root):
    if target.startswith("weft/"):
        return check_weft(path, target[5:], root)
    here = folder_of(path)
    if bracket == '"':
        if here in ("tests", "bench", "examples"):
            beside = os.path.join(root, os.path.dirname(path), target)
            from_tests = os.path.join(root, "tests", target)
            if os.path.exists(beside) or (here == "tests" and os.path.exists(from_tests)):
                return None
        return 'includes of weft are spelled "weft/folder/file.h"'
    if target in STANDARD or SYSTEM.match(target):
        return None
    for header, place in THIRD_PARTY:
        if re.match(header, target):
            return None if re.match(place, path) else "a third-party header has no place here"
    return "unknown header: a new dependency goes into the list of scripts/check_includes.py, with its place"


def headers_of_weft(root):
    """The headers that a program with weft.h includes."""
    seen, todo = set(), ["weft.h"]
    while todo:
        path = todo.pop()
        if path in seen or not os.path.exists(os.path.join(root, path)):
            continue
        seen.add(path)
        with open(os.path.join(root, path), encoding="utf-8") as f:
            found = [INCLUDE.match(line) for line in f]
        todo += [m[2][5:] for m in found if m and m[2].startswith("weft/")]
    return seen


def long_files(root):
    """Files that may exceed the limit: one `path: reason` a line."""
    allowed = {}
    try:
        with open(os.path.join(root, "scripts/long_files.txt"), encoding="utf-8") as f:
            for line in f:
                path, _, reason = line.partition(":")
                if not line.startswith("#") and reason.strip():
                    allowed[path.strip()] = reason.strip()
    except FileNotFoundError:
        pass
    return allowed


def check(root):
    breaches, notes = [], []
    allowed_long, seen_by_users = long_files(root), headers_of_weft(root)
    for path in files_of(root):
        with open(os.path.join(root, path), encoding="utf-8") as f:
            lines = f.read().split("\n")
        for number, line in enumerate(lines, 1):
            m = INCLUDE.match(line)
            if m:
                wrong = check_include(path, m[1], m[2], root)
                if path in seen_by_users and m[2] in HEAVY:
                    wrong = "weft.h would bring it into every program; its place is a .cpp (core/mutex.h is a lock)"
                if wrong:
                    breaches.append(f"{path}:{number}: {line.strip()}: {wrong}")
            if TEST_NAME_SPLIT.search(line):
                breaches.append(f"{path}:{number}: a test's name has a semicolon, at which ctest splits it")
        if path.endswith((".h", ".cuh")):
            if not any(line.startswith("#pragma once") for line in lines):
                breaches.append(f"{path}: no #pragma once")
            if not lines[0].startswith("//"):
                breaches.append(f"{path}: a header begins with a note: what it owns, what it must not know")
        count = len(lines) - 1
        if count > TOO_LONG and path not in allowed_long:
            breaches.append(f"{path}: {count} lines (limit {TOO_LONG}): split it by family, "
                            "or give the reason in scripts/long_files.txt")
        elif count > LONG:
            notes.append(f"{path}: {count} lines" + (f" ({allowed_long[path]})" if path in allowed_long else ""))
    return breaches, notes


def self_test():
    note = "// note\n#pragma once\n"
    seeded = {   # path -> (text, the breach that must be reported or None)
        "core/tensor.h": (note + "#include <vector>\n#include <future>\n", "into every program"),
        "core/inner.h": (note + "#include <future>\n", None),
        "core/a.cpp": ('#include "weft/autograd/tape.h"\n', "core may include only"),
        "core/b.cpp": ('#include "tensor.h"\n', "are spelled"),
        "core/c.h": ("#pragma once\n", "begins with a note"),
        "core/d.h": ("// note\n", "no #pragma once"),
        "core/e.cpp": ('#include "weft/core/missing.h"\n', "does not exist"),
        "core/f.cpp": ("#include <boost/any.hpp>\n", "unknown header"),
        "core/g.cpp": ("\n" * 701, "701 lines"),
        "core/h.cpp": ('#include "weft/weft.h"\n', "for users"),
        "autograd/tape.h": (note + '#include "weft/core/tensor.h"\n', None),
        "optim/a.cpp": ('#include "weft/nn/module.h"\n', "optim may include only"),
        "nn/module.h": (note + '#include "weft/autograd/tape.h"\n', None),
        "nn/a.cpp": ("#include <dnnl.hpp>\n", "third-party"),
        "io/a.h": (note + "#include <png.h>\n", "third-party"),
        "io/b.cpp": ("#include <png.h>\n#include <nlohmann/json.hpp>\n", None),
        "backends/cpu/onednn/a.cpp": ('#include <dnnl.hpp>\n#include "weft/core/tensor.h"\n', None),
        "backends/cpu/c.cpp": ("#include <dnnl.hpp>\n", "third-party"),
        "core/parallel.cpp": ("#include <omp.h>\n", None),
        "core/i.cpp": ("#include <omp.h>\n", "third-party"),
        "backends/cpu/b.cpp": ('#include "weft/autograd/tape.h"\n', "backends/cpu may include only"),
        "tests/core/a.cpp": ('#include <doctest/doctest.h>\n#include "support/a.h"\n', None),
        "tests/support/a.h": (note, None),
        "examples/x/a.cpp": ('#include <weft/core/tensor.h>\n#include <CLI/CLI.hpp>\n', "nothing else of weft"),
        "examples/x/b.cpp": ("#include <weft/weft.h>\n", None),
        "tests/core/b.cpp": ('TEST_CASE("one; two") {\n', "semicolon"),
        "weft.h": (note + '#include "weft/core/tensor.h"\n', None),
    }
    with tempfile.TemporaryDirectory() as root:
        for path, (text, _) in seeded.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        breaches, _ = check(root)
    failed = 0
    for path, (_, expected) in seeded.items():
        found = [b for b in breaches if b.startswith(path + ":")]
        if (expected is None) != (not found) or (expected and not any(expected in b for b in found)):
            print(f"self-test: {path}: expected {expected}, found {found}")
            failed += 1
    print(f"self-test: {len(seeded) - failed} passed, {failed} failed")
    return failed


def main():
    if "--self-test" in sys.argv:
        return 1 if self_test() else 0
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    breaches, notes = check(root)
    for line in notes:
        print("long:", line)
    for line in breaches:
        print(line)
    print(f"include rules: {len(breaches)} breaches, {len(notes)} files over {LONG} lines")
    return 1 if breaches else 0


sys.exit(main())
