#!/usr/bin/env python3
"""links.py FOLDER: every relative link of the Markdown pages names a file that is there."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1]).resolve()
pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
dead = []
for page in pages:
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^ *```.*?^ *```$|`[^`\n]*`", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)
    for m in re.finditer(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", m[1]) and not (page.parent / m[1]).exists():
            dead.append(f"{page.relative_to(root)}:{text.count(chr(10), 0, m.start()) + 1}: {m[1]} is not there")
print("\n".join(dead) or f"{len(pages)} pages")
sys.exit(bool(dead))
