#!/usr/bin/env bash
# The proof with a card, in two halves, so that no time of the machine with the card goes into building. docs/gpu.md says more.
#   scripts/gpu-check.sh pack          with the CUDA toolkit: builds for sm_90 and makes .gpu/weft-gpu.txz (less than 40 MB);
#                                      pack --built: of what is built already
#   weft-gpu/gpu-check.sh run [PART..] with the card, in the unpacked archive: what gpu_check.py beside it says
#   scripts/gpu-check.sh build         with the card, from the sources, where the packed programs do not start; then run
# Environment: WEFT_CHECK_PRESET, what to build (gpu-check); for run see gpu_check.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
preset=${WEFT_CHECK_PRESET:-gpu-check}
built=build/$preset
tests=(core autograd nn optim train)      # those with suites that run on a device

libraries_of() {      # what a machine without weft's packages may lack; the C and C++ runtimes and CUDA's libraries are its own
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -E '/lib(dnnl|openblas|gfortran|quadmath|gomp|png16|jpeg|tiff|z|webp|zstd|lzma|jbig|deflate|Lerc|sharpyuv)\.so' || true
}

suites() {            # PROGRAM SUITE of every suite that has a test for any device
  local folder file
  for folder in "${tests[@]}"; do
    { grep -rlE 'DEVICE_TEST_CASE|on_each_device' "tests/$folder" --include='*.cpp' || true; } | while read -r file; do
      { grep -ohE 'TEST_SUITE(_BEGIN)?\("[^"]*"' "$file" || true; } | sed -E "s/.*\"(.*)\"/weft_test_$folder \1/"
    done
  done | sort -u
}

pack() {
  cd "$here/.."
  local root=.gpu/weft-gpu
  if [ "${1:-}" != --built ]; then
    cmake --preset "$preset" > /dev/null
    cmake --build --preset "$preset" ${WEFT_JOBS:+-j "$WEFT_JOBS"}
  fi
  rm -rf .gpu
  mkdir -p $root/lib $root/tests/golden $root/bench
  cmake --install "$built" --prefix $root --strip > /dev/null
  cmake --install "$built" --prefix $root --strip --component check > /dev/null
  rm -rf $root/include $root/lib/{cmake,pkgconfig,libweft_test_plugin.so} $root/lib/libweft_{mpi_*,hdf5}.so $root/share \
    $root/bin/weft-run $root/bin/weft_test_{cuda,io,backends,data,distributed,skeleton}
  local library part missing=''
  for part in lib/libweft.so lib/libweft_cuda.so bin/golden_driver bin/weft-bench lib/libweft_nccl.so \
    bin/style_transfer bin/weft_test_ranks "${tests[@]/#/bin/weft_test_}"; do
    [ -e "$root/$part" ] || missing+=" $part"
  done
  if [ -n "$missing" ]; then
    echo "gpu-check: not built:$missing" >&2
    [ "${1:-}" = --built ] || return 1
  fi
  # Of the built library: the installed one finds its own copies only.
  for library in $(libraries_of "$built/lib/libweft.so") \
    $(ldd "$built/lib/libweft.so" | awk '/libopenblas/ {print $3}' | xargs -r ldd |
      awk '$1 ~ /lib(gfortran|quadmath)/ {print $3}'); do
    cp -L "$library" "$root/lib/$(basename "$library")"
  done
  find $root/lib -type f -name "*.so*" -exec strip --strip-unneeded {} + 2> /dev/null || true
  cp -r tests/golden/data $root/tests/golden/
  cp bench/peer_torch.py bench/peer_common.py bench/torch_models.py bench/gpu_predict.py $root/bench/
  cp scripts/gpu-check.sh scripts/gpu_check.py $root/
  suites > $root/suites.txt
  git rev-parse HEAD > $root/commit 2> /dev/null || true
  tar -C .gpu -cf - weft-gpu | xz -6 -T0 > .gpu/weft-gpu.txz      # gzip takes 46 MiB; python3 -m tarfile -e unpacks it too
  rm -rf $root
  local bytes
  bytes=$(stat -c %s .gpu/weft-gpu.txz)
  echo ".gpu/weft-gpu.txz: $((bytes >> 20)) MiB"
  [ "$bytes" -lt $((40 * 1000 * 1000)) ] || { echo "gpu-check: more than 40 MB" >&2; return 1; }
}

build() {
  cd "$here/.."
  cmake --preset "$preset" -DWEFT_ONEDNN=OFF -DWEFT_BLAS=OFF -DWEFT_FETCH_DEPS=OFF "$@"
  cmake --build --preset "$preset"
  mkdir -p "$built/bench"
  cp bench/*.py "$built/bench/"
  suites > "$built/suites.txt"
  echo "now: ROOT=$built WEFT_TEST_DATA=$PWD/tests scripts/gpu-check.sh run"
}

case ${1:-} in
  pack) shift; pack "$@" ;;
  build) shift; build "$@" ;;
  run) shift; exec python3 -B "$here/gpu_check.py" "$@" ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
