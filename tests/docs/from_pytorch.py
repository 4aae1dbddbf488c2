#!/usr/bin/env python3
"""The right column of docs/from-pytorch.md as programs: every `code` of a table's second column is a row of its own.

from_pytorch.py PAGE.md SECTION OUT.cpp            the rows of one section as one source
from_pytorch.py PAGE.md --each COMPILER FLAG...    compiles all rows, without a result, and lists those that fail
"""
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SHOWN = "docs/from-pytorch.md"


def slug(heading):
    return re.sub(r"[^a-z0-9]+", "_", heading.lower()).strip("_")


def rows(page):
    """(section, line, code) of every row, in order."""
    found, section, in_code = [], "", False
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        if line.startswith("```"):
            in_code = not in_code
        elif line.startswith("## "):
            section = slug(line[3:])
        elif line.startswith("|") and not in_code:
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            if len(cells) != 2:
                sys.exit(f"{SHOWN}:{number}: {len(cells)} columns")
            found += [(section, number, code.replace("\\|", "|")) for code in re.findall(r"`([^`]+)`", cells[1])]
    return found


def source(row, index, place=None):
    """The row as a class: its code sees the variables as members."""
    place = place or f'{row[1]} "{SHOWN}"'
    code = row[2] if row[2].endswith((";", "}")) else row[2] + ";"
    return f'struct Row{index} : Vars {{\nvoid run() {{\n#line {place}\n{code}\n}}\n}};'


def section_source(page, section):
    lines, calls = ['#include "from_pytorch.h"', f"namespace {section} {{"], []
    for i, row in enumerate(rows(page)):
        if row[0] == section:
            lines.append(source(row, i))
            calls.append(f'docs::row<Row{i}>("{SHOWN}:{row[1]}");')
    lines += ["static void run() {", *calls, "}"]
    lines.append(f'[[maybe_unused]] static const bool added = docs::add_page("{section}", run);\n}}\n')
    return "\n".join(lines)


def failures(page, compiler):
    """(row, first error) of the rows that do not compile.

    All are compiled at once, then again without those that failed, since an error may hide others. For the compiler, row
    N stands in line N + 1 of a file "row".
    """
    every, failed = rows(page), {}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.cpp"
        while True:
            text = ['#include "from_pytorch.h"']
            for index, row in enumerate(every):
                if index not in failed:
                    text.append(source(row, index, f'{index + 1} "row"'))
            path.write_text("\n".join(text) + "\n", encoding="utf-8")
            flags = ["-I", str(HERE), "-w", "-std=c++20", "-fmax-errors=0", "-fsyntax-only"]
            done = subprocess.run([*compiler, *flags, path], capture_output=True, text=True)
            found, error = {}, ""
            for line in done.stderr.split("\n"):
                error = line.partition("error: ")[2] or error
                m = re.match(r"row:(\d+):", line)
                if m and any(word in line for word in ("error: ", "required from here", "requested here")):
                    found.setdefault(int(m[1]) - 1, error)
            if not found:
                if done.returncode != 0:
                    sys.exit(done.stderr)
                return [(every[index], error) for index, error in sorted(failed.items())]
            failed.update(found)


def main():
    page = pathlib.Path(sys.argv[1])
    if sys.argv[2] == "--each":
        failed = failures(page, sys.argv[3:])
        for (section, line, code), error in failed:
            print(f"{SHOWN}:{line}: {code}\n    {error}")
        print(f"{len(failed)} of {len(rows(page))} rows do not compile")
        sys.exit(bool(failed))
    pathlib.Path(sys.argv[3]).write_text(section_source(page, sys.argv[2]), encoding="utf-8")


main()
