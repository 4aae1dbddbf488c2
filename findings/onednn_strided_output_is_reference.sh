#!/usr/bin/env bash
# oneDNN: a convolution that writes into some channels of a wider channels-last tensor, as a concatenation in place would,
# has only the reference kernel, in f32 and in bf16; the same product by the matmul primitive has a fast one.
# Versions: oneDNN 3.2.0 (PyPI onednn-devel-cpu-gomp 2023.2.0); x86-64 with AVX-512 (Zen 5).
# Guess:    pixels further apart than their channels cost an optimised kernel nothing but another step; it is chosen, or
#           the primitive is refused.
# Seen:     dense pixels (64 channels every 64): brgconv. The same 64 channels every 128: "ref:any", for windows of 1x1
#           and 3x3. matmul of the 1x1 case with rows 128 apart: "gemm:jit". Nothing is refused and nothing warns.
# Why it matters: an engine that plans memory so that cat costs nothing gets the reference loops, without a word.
# Exits with 0 while this holds, with 2 on a CPU without AVX-512.
set -euo pipefail
grep -qw avx512bw /proc/cpuinfo || { echo "needs a CPU with AVX-512" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onednn-devel-cpu-gomp==2023.2.0
header=$(find "$work/venv" -name dnnl.hpp -path '*include/dnnl.hpp' | head -n 1)
library=$(find "$work/venv" -name 'libdnnl.so*' | head -n 1)
[ -n "$header" ] && [ -n "$library" ] || { echo "the wheel has no dnnl.hpp or libdnnl.so" >&2; exit 1; }
cat > "$work/main.cpp" <<'CPP'
#include <cstdio>
#include <dnnl.hpp>
#include <string>

using dnnl::memory;

int main() {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const dnnl_version_t* v = dnnl_version();
  std::printf("oneDNN %d.%d.%d\n", v->major, v->minor, v->patch);
  int as_seen = 0;
  const memory::dim size = 54, channels = 64;
  for (const auto type : {memory::data_type::f32, memory::data_type::bf16})
    for (const memory::dim window : {1, 3})
      for (const memory::dim apart : {channels, 2 * channels}) {
        const memory::desc x({1, 16, size, size}, type, memory::format_tag::nhwc),
            w({channels, 16, window, window}, type, memory::format_tag::any),
            y({1, channels, size, size}, type, memory::dims{size * size * apart, 1, size * apart, apart});
        const memory::dim around = window / 2;
        const dnnl::convolution_forward::primitive_desc conv(engine, dnnl::prop_kind::forward_inference,
                                                             dnnl::algorithm::convolution_direct, x, w, y, {1, 1},
                                                             {around, around}, {around, around});
        const std::string kernel = conv.impl_info_str();
        std::printf("%s, %dx%d, %d channels every %d: %s\n", type == memory::data_type::f32 ? "f32" : "bf16",
                    static_cast<int>(window), static_cast<int>(window), static_cast<int>(channels),
                    static_cast<int>(apart), kernel.c_str());
        as_seen += (kernel.rfind("ref", 0) == 0) == (apart != channels);
      }
  const memory::desc a({size * size, 16}, memory::data_type::f32, memory::format_tag::ab),
      b({16, channels}, memory::data_type::f32, memory::format_tag::any),
      c({size * size, channels}, memory::data_type::f32, memory::dims{2 * channels, 1});
  const std::string product = dnnl::matmul::primitive_desc(engine, a, b, c).impl_info_str();
  std::printf("f32, product with rows %d apart: %s\n", static_cast<int>(2 * channels), product.c_str());
  as_seen += product.rfind("ref", 0) != 0;
  return as_seen == 9 ? 0 : 1;
}
CPP
g++ -std=c++17 "$work/main.cpp" -I"$(dirname "$header")" "$library" -fopenmp -Wl,-rpath,"$(dirname "$library")" -o "$work/main"
"$work/main"
