#!/usr/bin/env python3
"""guide.py GUIDE.md OUT.cpp: a program of all C++ blocks of a page, each a function of its own, run in order in a folder of its own."""
import re
import sys

page = open(sys.argv[1], encoding="utf-8").read()
blocks = re.findall(r"^```cpp\n(.*?)^```$", page, re.M | re.S)
if not blocks:
    sys.exit(f"{sys.argv[1]}: no C++ blocks")
out = ["#include <weft/weft.h>", "#include <filesystem>", "#include <iostream>", "#include <random>", "#include <sstream>", "using namespace weft;"]
for i, block in enumerate(blocks):
    out.append(f"static void block{i}() {{\n{block}}}")
calls = " ".join(f"block{i}();" for i in range(len(blocks)))
out.append(f"""int main() try {{
  const auto folder = std::filesystem::temp_directory_path() / ("weft_guide_" + std::to_string(std::random_device()()));
  std::filesystem::create_directories(folder);
  std::filesystem::current_path(folder);
  {calls}
  std::filesystem::current_path("/");
  std::filesystem::remove_all(folder);
}} catch (const std::exception& e) {{ std::cerr << e.what() << '\\n'; return 1; }}
""")
with open(sys.argv[2], "w", encoding="utf-8") as f:
    f.write("\n".join(out))
