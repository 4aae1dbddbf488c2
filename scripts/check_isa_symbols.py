#!/usr/bin/env python3
"""Fails when an object built for a newer instruction set holds a weak symbol that could serve everyone.

  scripts/check_isa_symbols.py NM OBJECT...

The linker keeps one copy of a weak symbol (an inline function, a template). Were it the AVX-512 copy, the library would
die on older machines. So in the objects of weft_simd_<isa> every weak symbol must carry isa_<isa> in its name.
"""
import re
import subprocess
import sys


def main():
    nm, objects = sys.argv[1], sys.argv[2:]
    bad = checked = 0
    for path in objects:
        isa = re.search(r"weft_simd_(\w+)\.dir", path)[1]
        if isa == "base":
            continue
        checked += 1
        listing = subprocess.run([nm, "--defined-only", path], check=True, capture_output=True, text=True).stdout
        for line in listing.splitlines():
            kind, name = line.split()[-2:]
            if kind in "Ww" and f"isa_{isa}" not in name:      # V and u are data: the same bytes in every copy
                plain = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip() or name
                print(f"{path}: weak symbol outside isa_{isa}: {plain[:200]}")
                bad += 1
    print(f"{checked} objects, {bad} weak symbols outside their instruction set's namespace")
    return 1 if bad else 0


sys.exit(main())
