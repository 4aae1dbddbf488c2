#!/usr/bin/env python3
"""Reads what ptxas said about every kernel of the CUDA plugin (the build keeps it beside the objects, *.cu.o.ptxas).

  scripts/check_kernels.py FOLDER       fails on a stack frame or a spill of a kernel that is not in the list, on a line of the
                                        list that no kernel needs any more, and on a kernel that is compiled in two files
  scripts/check_kernels.py --write FOLDER   writes the list
  scripts/check_kernels.py --table FOLDER   kernels, registers, stack frames and spills of each file
  scripts/check_kernels.py --self-test

The list, backends/cuda/stack_frames.txt, has a line for each kernel and operation, whatever the element types: the most
bytes of stack frame and of spills that it may have on any of the cards that the list names. Other cards are not judged, and
what no kernel needs any more is told where all of the list's cards were compiled for.
"""
import collections
import pathlib
import re
import subprocess
import sys

LIST = pathlib.Path(__file__).resolve().parent.parent / "backends/cuda/stack_frames.txt"
HEAD = """# Kernels that may have a stack frame or spills: bytes of stack, bytes of spills, the kernel and what it computes.
# Local memory is device memory: shorten this list. scripts/check_kernels.py reads it; --write writes it anew.
"""
ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\w+)'")
FRAME = re.compile(r" *(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")

Kernel = collections.namedtuple("Kernel", "name card stack spills registers")


def read(text):
    """The kernels of one report. ptxas also describes functions that are not entries: those belong to no kernel."""
    kernels, name, card, stack, spills = [], None, "", 0, 0
    for line in text.splitlines():
        if m := ENTRY.search(line):
            name, card = m.groups()
            stack = spills = 0
        elif (m := FRAME.match(line)) and name:
            stack, spills = int(m[1]), int(m[2]) + int(m[3])
        elif (m := USED.search(line)) and name:
            kernels.append(Kernel(name, card, stack, spills, int(m[1])))
            name = None
    return kernels


def reports(folder):
    """{file: kernels}, of the sources that are there now: a removed one may have left its report."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*.cu.o.ptxas")):
        source = path.name.removesuffix(".o.ptxas")
        if (LIST.parent / source).exists():
            found[source] = read(path.read_text())
    return found


def demangle(names):
    names = list(names)
    said = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, said.splitlines()))


def family(demangled):
    """`void weft::cuda::each_kernel<unsigned int, weft::cuda::PadElement<float> >(...)` -> `each_kernel PadElement`."""
    m = re.match(r"(?:void )?(?:weft::cuda::)?(?:\(anonymous namespace\)::)?(\w+)", demangled)
    operation = re.search(r"<(?:[\w ]+, )?weft::(?:cuda::|fn::)(?!f16|bf16)(\w+)", demangled)
    return m[1] + (" " + operation[1] if operation else "")


def faults(found, allowed, names):
    """What is wrong, a line each."""
    said, where, worst, seen = [], collections.defaultdict(set), {}, set()
    for source, kernels in found.items():
        for k in kernels:
            where[k.name].add(source)
            seen.add(k.card)
            if (k.stack or k.spills) and (not allowed["cards"] or k.card in allowed["cards"]):
                key = family(names[k.name])
                most = worst.get(key, (0, 0, k, source))
                worst[key] = (max(most[0], k.stack), max(most[1], k.spills), k, source)
    for name, sources in sorted(where.items()):
        if len(sources) > 1 and family(names[name]) not in allowed["twice"]:
            said.append(f"compiled in {' and '.join(sorted(sources))}: {names[name]}")
    for key, (stack, spills, k, source) in sorted(worst.items()):
        may = allowed["frames"].get(key, (0, 0))
        if stack > may[0] or spills > may[1]:
            said.append(f"{key}: {stack} bytes of stack, {spills} of spills, may have {may[0]} and {may[1]}; "
                        f"one of them, in {source} for {k.card}: {names[k.name]}")
    for key in sorted(set(allowed["frames"]) - set(worst)) if allowed["cards"] <= seen else ():
        said.append(f"{key}: has no stack frame any more; take it from {LIST.name}")
    return said, worst


def read_list(text):
    allowed = {"cards": set(), "frames": {}, "twice": set()}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "cards":
            allowed["cards"] = set(words[1:])
        elif words[0] == "twice":
            allowed["twice"].add(" ".join(words[1:]))
        else:
            allowed["frames"][" ".join(words[2:])] = (int(words[0]), int(words[1]))
    return allowed


def self_test():
    entry = ("ptxas info    : Compiling entry function '{0}' for 'sm_90'\nptxas info    : Function properties for {0}\n"
             "    {1} bytes stack frame, {2} bytes spill stores, {2} bytes spill loads\n"
             "ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem\n")
    inner = ("ptxas info    : Function properties for helper\n"
             "    64 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n")
    names = {"a": "void weft::cuda::row_kernel<weft::cuda::RowForward<weft::f16>, 8, 32>(long)",
             "b": "void weft::cuda::each_kernel<unsigned int, weft::cuda::PadElement<float> >(unsigned int)",
             "c": "void weft::cuda::max_pool_kernel<weft::bf16, int, 8>(weft::bf16*)"}
    assert [family(names[n]) for n in "abc"] == ["row_kernel RowForward", "each_kernel PadElement", "max_pool_kernel"]
    clean = read(entry.format("a", 0, 0) + inner + entry.format("b", 0, 0))
    assert [k.registers for k in clean] == [40, 40] and all(k.stack == 0 for k in clean), clean
    none = read_list("")
    assert faults({"x.cu": clean}, none, names)[0] == []
    bad = read(entry.format("b", 16, 0) + entry.format("c", 0, 4))
    assert [k.spills for k in bad] == [0, 8]
    assert len(faults({"x.cu": bad}, none, names)[0]) == 2
    assert faults({"x.cu": bad}, read_list("# list\n16 0 each_kernel PadElement\n0 8 max_pool_kernel\n"), names)[0] == []
    assert len(faults({"x.cu": bad}, read_list("8 0 each_kernel PadElement\n0 8 max_pool_kernel\n"), names)[0]) == 1
    assert len(faults({"x.cu": clean}, read_list("8 0 each_kernel PadElement\n"), names)[0]) == 1
    assert len(faults({"x.cu": clean, "y.cu": clean}, none, names)[0]) == 2
    assert len(faults({"x.cu": clean, "y.cu": clean}, read_list("twice each_kernel PadElement"), names)[0]) == 1
    other = "cards sm_80 sm_90\n8 0 each_kernel PadElement\n"  # half of the list's cards: nothing is known to be spare
    assert faults({"x.cu": clean}, read_list(other), names)[0] == []
    assert len(faults({"x.cu": bad}, read_list(other), names)[0]) == 2
    assert faults({"x.cu": bad}, read_list("cards sm_80\n"), names)[0] == []
    print("check_kernels: self-test passed")


def table(found):
    print("| file | kernels | most registers | with a stack frame or spills |")
    print("|---|---|---|---|")
    for source, kernels in found.items():
        if kernels:
            names = {k.name for k in kernels}
            framed = {k.name for k in kernels if k.stack or k.spills}
            print(f"| {source} | {len(names)} | {max(k.registers for k in kernels)} | {len(framed)} |")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if not arguments or arguments[-1].startswith("-"):
        sys.exit(__doc__)
    found = reports(arguments[-1])
    missing = [p.name for p in sorted(LIST.parent.glob("*.cu")) if p.name not in found]
    if missing:
        sys.exit(f"check_kernels: no report of {' '.join(missing)} in {arguments[-1]}; build weft_cuda first")
    if arguments[0] == "--table":
        return table(found)
    names = demangle({k.name for kernels in found.values() for k in kernels})
    allowed = read_list(LIST.read_text()) if LIST.exists() else read_list("")
    cards = sorted({k.card for kernels in found.values() for k in kernels})
    if arguments[0] == "--write":
        allowed["cards"] = set(cards)
        worst = faults(found, allowed, names)[1]
        lines = [f"cards {' '.join(cards)}"] + [f"twice {key}" for key in sorted(allowed["twice"])]
        lines += [f"{stack} {spills} {key}" for key, (stack, spills, _, _) in sorted(worst.items())]
        LIST.write_text(HEAD + "\n".join(lines) + "\n")
        return
    said, worst = faults(found, allowed, names)
    count = sum(len({k.name for k in kernels}) for kernels in found.values())
    print(f"check_kernels: {count} kernels for {', '.join(cards)}, {len(worst)} kinds with a stack frame or spills, "
          f"{len(said)} faults")
    for line in said:
        print(f"  {line}")
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
