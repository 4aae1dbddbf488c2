#!/usr/bin/env bash
# The segmentation demo: streets are drawn, a network learns on them for a minute or two, and shows what it sees beside
# what one sees that has learned for longer. Results lie in .demo/segmentation.
#   scripts/demo-segmentation.sh BUILD [argument of segmentation train...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$1/bin/segmentation
shift
out=.demo/segmentation
mkdir -p $out
echo "demo: drawing 160 street scenes with their masks into $out/streets"
[ -e $out/streets/classes.txt ] || "$program" scenes --out $out/streets --train 160 --val 20
echo "demo: learning on them, 200 steps (Ctrl-C keeps what is learned; the same command with --resume goes on)"
"$program" train --data $out/streets --steps 200 --out $out/run --force "$@"
echo "demo: the same scores of the network that comes with the program"
"$program" eval --data $out/streets --confusion $out/confusion_shipped.png
"$program" predict $out/streets/val/0000{0,1,2,3}.png --model $out/run/model.safetensors --out $out/seen > /dev/null
"$program" predict $out/streets/val/0000{0,1,2,3}.png --out $out/seen_shipped > /dev/null
echo "demo: look at $out/run/report.html, $out/seen/00000_overlay.png and $out/seen_shipped/00000_overlay.png"
