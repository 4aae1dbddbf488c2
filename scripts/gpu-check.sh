#!/usr/bin/env bash
# The proof with a card, in two halves, so that no time of the machine with the card goes into building. docs/gpu.md says more.
#   scripts/gpu-check.sh pack          with the CUDA toolkit: builds for sm_90 and makes .gpu/weft-gpu.txz (less than 40 MB);
#                                      pack --built: of what is built already
#   weft-gpu/gpu-check.sh run [PART..] with the card, in the unpacked archive; parts: tests golden ranks sanitize bench style
#   scripts/gpu-check.sh build         with the card, from the sources, where the packed programs do not start; then run
# Environment: OUT, the folder of the report (gpu-report); WEFT_CHECK_DEVICE, cuda, or cpu for a rehearsal without a card;
# SECONDS_EACH, the time of a benchmark (2); WEFT_CHECK_PRESET, what to build (gpu-check).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
preset=${WEFT_CHECK_PRESET:-gpu-check}
built=build/$preset

libraries_of() {      # what a machine without weft's packages may lack; the C and C++ runtimes and CUDA's libraries are its own
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -E '/lib(dnnl|openblas|gfortran|quadmath|gomp|png16|jpeg|z)\.so' || true
}

pack() {
  cd "$here/.."
  local root=.gpu/weft-gpu
  if [ "${1:-}" != --built ]; then
    cmake --preset "$preset" > /dev/null
    cmake --build --preset "$preset" ${WEFT_JOBS:+-j "$WEFT_JOBS"}
  fi
  rm -rf .gpu
  mkdir -p $root/lib $root/tests/golden $root/tests/fuzz $root/tests/io $root/docs $root/bench
  cmake --install "$built" --prefix $root --strip > /dev/null
  cmake --install "$built" --prefix $root --strip --component check > /dev/null
  rm -rf $root/include $root/lib/cmake $root/lib/pkgconfig $root/share
  local library part missing=''
  for part in lib/libweft.so lib/libweft_cuda.so lib/libweft_test_plugin.so bin/golden_driver bin/weft-bench \
    lib/libweft_nccl.so bin/style_transfer bin/weft_test_ranks bin/weft_test_{core,autograd,nn,optim,io,distributed,backends,cuda}; do
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
  cp -r tests/fuzz/corpus $root/tests/fuzz/
  cp -r tests/io/data $root/tests/io/
  cp docs/coverage.md $root/docs/
  cp bench/peer_torch.py bench/peer_common.py bench/torch_models.py $root/bench/
  cp scripts/gpu-check.sh $root/
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
  echo "now: ROOT=$built WEFT_TEST_DATA=$PWD/tests scripts/gpu-check.sh run"
}

say() { printf '%s\n' "$*" | tee -a "$report"; }
number() { sed -n "s/.*\"$1\": \([-0-9.e+]*\).*/\1/p" | tail -n 1; }     # of a JSON line

# How weft's programs are started: cuBLASLt lies in the toolkit's folder or in PyTorch's wheels, and what the archive's libraries
# need themselves beside them. PyTorch is left with its own.
find_libraries() {
  local wheels folder path=''
  wheels=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2> /dev/null || true)
  for folder in "${CUDA_HOME:-/usr/local/cuda}/lib64" ${wheels:+"$wheels"/*/lib}; do
    if [ -e "$folder/libcublasLt.so.13" ] || [ -e "$folder/libnccl.so.2" ]; then path=$path:$folder; fi
  done
  [ -n "$path" ] || say "cuBLASLt 13: not found, neither in the toolkit nor in PyTorch's wheels"
  ours=(env "LD_LIBRARY_PATH=$root/lib$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
}

environment() {
  say "# weft on ${device}: $(date -u +%F)"
  say ""
  say "- commit $(cat "$root/commit" 2> /dev/null || echo unknown)"
  if [ "$device" != cpu ]; then
    say "- $(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader 2> /dev/null || echo 'no nvidia-smi')"
  fi
  say "- $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors, $(uname -r)"
  say "- PyTorch: $(python3 -c 'import torch; print(torch.__version__)' 2> /dev/null || echo none)"
  say ""
}

tests() {
  say "## Tests on ${WEFT_TEST_DEVICES}"
  say ""
  local program name rc line
  for program in "$root"/bin/weft_test_*; do
    name=$(basename "$program")
    rc=0
    timeout 300 "${ours[@]}" "$program" > "$out/$name.log" 2>&1 || rc=$?
    line=$(sed -n 's/.*test cases: *//p' "$out/$name.log" | tail -n 1)
    say "- $name: $([ $rc = 0 ] && echo ok || echo "**FAILED ($rc)**"): ${line:-no summary}"
    if [ $rc != 0 ]; then
      failed=$((failed + 1))
      { grep -aE 'ERROR|TEST CASE:' "$out/$name.log" || true; } | uniq | head -n 40 | sed 's/^/    /' | tee -a "$report"
    fi
  done
  say ""
  say "Not supported there:"
  { grep -ahE '^not supported on' "$out"/weft_test_*.log || true; } | sed 's/; move the tensors.*//' | sort -u |
    sed 's/^/- /' | tee -a "$report"
  say ""
}

golden() {
  say "## Golden vectors on $device"
  say ""
  local family rc
  for family in nn modules functions composites special ops conv optim encoding elementwise dtypes reduce search \
                arrange places; do
    rc=0
    timeout 200 "${ours[@]}" "$root/bin/golden_driver" --device "$device" "$WEFT_TEST_DATA/golden/data/$family" \
      > "$out/golden_$family.log" 2>&1 || rc=$?
    [ $rc = 0 ] || failed=$((failed + 1))
    say "- $family: $([ $rc = 0 ] && echo ok || echo "**FAILED ($rc)**"): $(tail -n 1 "$out/golden_$family.log")"
    { grep -aE '^FAIL|^skipped .*no cuda kernel' "$out/golden_$family.log" || true; } | head -n 40 | sed 's/^/    /' |
      tee -a "$report"
  done
  say ""
}

# NCCL: one rank for each card, which find each other through a file.
ranks() {
  say "## Ranks on $device"
  say ""
  if [ "$device" = cpu ]; then say "skipped: no card"; say ""; return 0; fi
  local cards rank rc=0 children=() child meet
  cards=$(nvidia-smi -L 2> /dev/null | grep -c '^GPU') || true
  meet=$(mktemp -u)
  for ((rank = 0; rank < cards; ++rank)); do
    RANK=$rank WORLD_SIZE=$cards timeout 120 "${ours[@]}" "$root/bin/weft_test_ranks" cards "$meet" > "$out/rank_$rank.log" 2>&1 &
    children+=($!)
  done
  for child in "${children[@]}"; do wait "$child" || rc=$?; done
  [ "$cards" -gt 0 ] || rc=1
  [ $rc = 0 ] || failed=$((failed + 1))
  say "- every collective, $cards cards: $([ $rc = 0 ] && echo ok || echo "**FAILED ($rc)**"): $(cat "$out"/rank_*.log 2> /dev/null | tail -n 1)"
  say ""
}

sanitize() {
  say "## compute-sanitizer"
  say ""
  if [ "$device" = cpu ]; then say "skipped: no card"; say ""; return 0; fi
  local tool rc probe
  tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null || true)
  if [ -z "$tool" ]; then say "skipped: there is no compute-sanitizer"; say ""; return 0; fi
  probe=0
  WEFT_TEST_DEVICES=cuda timeout 120 "${ours[@]}" "$tool" --error-exitcode 9 "$root/bin/weft_test_core" -ts=streams \
    > "$out/sanitizer_probe.log" 2>&1 || probe=$?
  if [ $probe != 0 ]; then
    say "skipped: it does not run here (exit $probe): $(tail -n 1 "$out/sanitizer_probe.log")"
    say ""
    return 0
  fi
  # Suites with kernels of their own; the whole table would take hours under it.
  while read -r name kind program suites <&3; do
    rc=0
    WEFT_CUDA_ALLOCATOR=direct WEFT_TEST_DEVICES=cuda timeout 400 "${ours[@]}" "$tool" --tool "$kind" --error-exitcode 9 "$root/bin/$program" -ts="$suites" \
      > "$out/$name.log" 2>&1 || rc=$?
    case $rc in
      0) say "- $kind, $program $suites: ok" ;;
      124) say "- $kind, $program $suites: not finished in 400 s" ;;
      *) failed=$((failed + 1)); say "- $kind, $program $suites: **FAILED ($rc)**: $(grep -a -m 1 '=====' "$out/$name.log")" ;;
    esac
  done 3<< 'END'
memcheck_core memcheck weft_test_core tensor,views,streams
memcheck_ops memcheck weft_test_autograd reduce,softmax,norm,pool,loss,index,random,shape,conv,matmul
memcheck_optim memcheck weft_test_optim optim
racecheck_ops racecheck weft_test_autograd reduce,softmax,norm,pool,loss,scan
END
  say ""
}

# weft's time and PyTorch's, as it comes and tuned (channels-last, fused optimisers), and the bytes or operations per second.
bench() {
  say "## Benchmarks on $device"
  say ""
  say "Median ms of an iteration, the device waited for after each. PyTorch: as it comes, and tuned (channels-last, fused optimisers)."
  say ""
  say "| workload | weft ms | PyTorch ms | tuned ms | weft / faster | rate | of a copy's |"
  say "|---|---|---|---|---|---|---|"
  local torch=0 copy='' workload dtype mega flops mine theirs tuned best ratio rate part
  python3 -c 'import torch, numpy' > /dev/null 2>&1 && torch=1
  while read -r workload dtype mega flops <&3; do
    mine=$("${ours[@]}" "$root/bin/weft-bench" "$workload" --device "$device" --dtype "$dtype" --seconds "$seconds" 2> "$out/bench.err" |
      tee -a "$out/bench.jsonl" | number median_ms) || true
    if [ -z "$mine" ]; then
      say "| $workload $dtype | $(head -n 1 "$out/bench.err" | cut -c1-100) | | | | | |"
      continue
    fi
    theirs='' tuned=''
    if [ $torch = 1 ]; then
      theirs=$(python3 "$root/bench/peer_torch.py" "$workload" --device "$device" --dtype "$dtype" --seconds "$seconds" 2> /dev/null |
        tee -a "$out/bench.jsonl" | number median_ms) || true
      tuned=$(python3 "$root/bench/peer_torch.py" "$workload" --device "$device" --dtype "$dtype" --seconds "$seconds" --tuned \
        2> /dev/null | tee -a "$out/bench.jsonl" | number median_ms) || true
    fi
    best=$(printf '%s\n' "$theirs" "$tuned" | sed '/^$/d' | sort -g | head -n 1)
    ratio=$(awk -v a="$mine" -v b="${best:-0}" 'BEGIN {if (b > 0) printf "%.2f", a / b; else printf "-"}')
    rate=- part=-
    if [ "$mega" != 0 ]; then
      rate=$(awk -v m="$mega" -v t="$mine" 'BEGIN {printf "%.0f GB/s", m * 1048576 / t / 1e6}')
      [ "$workload" != copy64m ] || copy=$(awk -v m="$mega" -v t="$mine" 'BEGIN {print m / t}')
      [ -z "$copy" ] || part=$(awk -v c="$copy" -v m="$mega" -v t="$mine" 'BEGIN {printf "%.2f", m / t / c}')
    elif [ "$flops" != 0 ]; then
      rate=$(awk -v f="$flops" -v t="$mine" 'BEGIN {printf "%.1f TFLOP/s", f / t / 1e9}')
    fi
    say "| $workload $dtype | $mine | ${theirs:--} | ${tuned:--} | $ratio | $rate | $part |"
  done 3<< 'END'
copy64m f32 512 0
add64m f32 768 0
addmul f32 384 0
gelu_chain f32 0 0
sum64m f32 256 0
sum64m_rows f32 256 0
sum64m_columns f32 256 0
softmax f32 0 0
layernorm f32 0 0
bnrelu f32 0 0
inrelu f32 0 0
maxpool f32 0 0
ce2d f32 0 0
matmul4096 f32 0 137438953472
matmul4096 tf32 0 137438953472
matmul4096 bf16 0 137438953472
conv33 f32 0 0
adam25m f32 0 0
sgd25m f32 0 0
mlp1k f32 0 0
resnet18 f32 0 0
resnet18 bf16 0 0
END
  say ""
}

style() {
  say "## style_transfer optimise"
  say ""
  local place rc
  "${ours[@]}" "$root/bin/style_transfer" styles --out "$out" --size 256 > /dev/null
  for place in cpu "$device"; do
    rc=0
    "${ours[@]}" "$root/bin/style_transfer" optimise --content "$out/woven.png" --style "$out/waves.png" --features random --steps 20 \
      --size 256 --device "$place" --out "$out/style_$place.png" > "$out/style_$place.log" 2>&1 || rc=$?
    [ $rc = 0 ] || failed=$((failed + 1))
    say "- $place: $([ $rc = 0 ] && echo ok || echo "**FAILED ($rc)**"): $(grep -a 'steps in' "$out/style_$place.log" || tail -n 1 "$out/style_$place.log")"
  done
  say ""
}

run() {
  root=${ROOT:-$here}
  [ -x "$root/bin/golden_driver" ] || { echo "gpu-check: no programs in $root/bin; run it in the unpacked archive" >&2; return 2; }
  device=${WEFT_CHECK_DEVICE:-cuda}
  seconds=${SECONDS_EACH:-2}
  out=${OUT:-$PWD/gpu-report}
  mkdir -p "$out"
  report=$out/report.md
  failed=0
  export WEFT_TEST_DATA=${WEFT_TEST_DATA:-$root/tests}
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
  if [ "$device" = cpu ]; then export WEFT_TEST_DEVICES=cpu
  else export WEFT_TEST_DEVICES=cpu,cuda WEFT_REQUIRE_CUDA=1; fi
  local parts=("$@") part
  if [ ${#parts[@]} = 0 ]; then
    parts=(tests golden ranks sanitize bench style)
    : > "$report"
  fi
  [ -s "$report" ] || environment
  find_libraries
  for part in "${parts[@]}"; do
    case $part in
      tests | golden | ranks | sanitize | bench | style) $part ;;
      *) echo "gpu-check: unknown part $part" >&2; return 2 ;;
    esac
  done
  say "$([ $failed = 0 ] && echo "All of ${parts[*]} passed." || echo "**$failed failed** in ${parts[*]}.")"
  echo "report: $report"
  [ $failed = 0 ]
}

case ${1:-} in
  pack) shift; pack "$@" ;;
  build) shift; build "$@" ;;
  run) shift; run "$@" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
