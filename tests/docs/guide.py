#!/usr/bin/env python3
"""guide.py PAGE.md OUT.cpp: the C++ blocks of a page as one function, in their order.

A ```text block below a C++ block is what that one prints; "..." in it stands for any text. Errors of the compiler and
of the run name the page and its line.
"""
import pathlib
import re
import sys

HEAD = """#include <weft/weft.h>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include "page.h"
using namespace weft;
"""


def blocks(page):
    """(line, code, expected or None) of each C++ block."""
    found = []
    for m in re.finditer(r"^```cpp\n(.*?)^```\n(?:\n?```text\n(.*?)^```$)?", page, re.M | re.S):
        line = page.count("\n", 0, m.start(1)) + 1
        found.append((line, m[1], m[2]))
    return found


def main(path, out):
    page = path.read_text(encoding="utf-8")
    shown = "docs/" + path.as_posix().rpartition("/docs/")[2]
    found = blocks(page)
    if not found:
        sys.exit(f"{path}: no C++ blocks")
    if len(found) != len(re.findall(r"^```cpp$", page, re.M)):
        sys.exit(f"{path}: a block is not closed")
    lines = [HEAD, f"namespace page_{path.stem} {{\nstatic void run() {{"]
    for line, code, expected in found:
        where = f"{shown}:{line}"
        text = "nullptr" if expected is None else f'R"__({expected})__"'
        lines.append(f'docs::begin("{where}");\n#line {line} "{shown}"\n{code}docs::end({text});')
    lines.append(f'}}\n[[maybe_unused]] static const bool added = docs::add_page("{path.stem}", run);\n}}\n')
    pathlib.Path(out).write_text("\n".join(lines), encoding="utf-8")


main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
