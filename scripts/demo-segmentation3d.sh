#!/usr/bin/env bash
# The demo in three dimensions: volumes of cells are drawn, a network learns their membranes for a minute or two, and is
# compared with one that learned for longer. Results lie in .demo/segmentation3d.
#   scripts/demo-segmentation3d.sh BUILD [argument of segmentation3d train...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$1/bin/segmentation3d
shift
out=.demo/segmentation3d
rm -rf $out
mkdir -p $out
echo "demo: learning for 150 steps (Ctrl-C keeps what is learned; the same command with --resume goes on)"
"$program" train --size 16 160 160 --volumes 2 --steps 150 --every 50 --out $out/run "$@"
echo "demo: a volume that neither has seen; first the network of a minute, then the one that comes with the program"
"$program" eval --size 12 256 256 --model $out/run/model.safetensors --out $out/learned.png
"$program" eval --size 12 256 256 --out $out/shipped.png
"$program" predict --size 12 256 256 --out $out/found
echo "demo: look at $out/run/report.html, $out/learned.png, $out/shipped.png and $out/found/slice-*.png"
