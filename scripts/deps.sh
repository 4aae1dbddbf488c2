#!/usr/bin/env bash
# Installs the Debian packages that weft needs (Debian 12, Ubuntu 24.04). Quick when all are there.
#   scripts/deps.sh             what `make build`, `make test` and `make demo` need
#   scripts/deps.sh --dev       also what the checks need: clang, sanitizers, clang-format, clang-tidy, doxygen, two MPIs
#   scripts/deps.sh --dry-run   prints the command and changes nothing
set -euo pipefail
packages=(
  g++ make cmake ninja-build ccache mold
  libopenblas-openmp-dev libpng-dev libjpeg-dev libtiff-dev libhdf5-dev zlib1g-dev
  doctest-dev libcli11-dev nlohmann-json3-dev
  python3 python3-pip python3-numpy python3-h5py ca-certificates
)
dev=(
  git clang-14 libclang-rt-14-dev llvm-14 libomp-14-dev clang-format-14 clang-tidy-14
  binutils doxygen
  libopenmpi-dev openmpi-bin libmpich-dev mpich
)
dry=no
for arg in "$@"; do
  case $arg in
    --dev) packages+=("${dev[@]}") ;;
    --dry-run) dry=yes ;;
    *) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  echo "deps: not a Debian-like system; the packages to provide by hand are: ${packages[*]}" >&2
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2> /dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi

run=()
[ "$(id -u)" = 0 ] || run=(sudo)
install=("${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
if [ $dry = yes ]; then
  echo "${run[*]:+${run[*]} }apt-get update"
  echo "${install[*]}"
  exit 0
fi
if [ ${#run[@]} != 0 ] && ! command -v sudo > /dev/null; then
  echo "deps: not root and no sudo; ask somebody who is to run: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "deps: installing ${missing[*]}"
"${run[@]}" apt-get update -q
"${install[@]}"
