#!/usr/bin/env bash
# The demo: a photo redrawn in the style of three pictures, and painted in the styles of a trained network. Results lie in .demo.
#   scripts/demo.sh BUILD [argument of style_transfer optimise...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
shift
python=/usr/bin/python3          # Debian's: it sees Debian's h5py, a Python of the user's need not
[ -x $python ] || python=python3
echo "demo: fetching photos and a network; then three styles are optimised (120 steps each, half a minute on two cores) and"
echo "demo: five are painted by a trained network (a second each); the pictures are .demo/astronaut_*.png"
$python scripts/assets.py .demo
for style in woven mosaic waves marble shards dots; do
  if [ ! -e .demo/$style.png ]; then "$build/bin/style_transfer" styles --out .demo --force; break; fi
done
for style in woven mosaic waves; do
  "$build/bin/style_transfer" optimise --content .demo/astronaut.png --style ".demo/$style.png" \
    --features .demo/vgg16_relu3_3.safetensors --out ".demo/astronaut_$style.png" "$@"
done
# Learned beforehand: a moment for each picture.
for style in dots marble mosaic shards waves; do
  "$build/bin/style_transfer" apply --model examples/style_transfer/models/patterns.safetensors \
    --content .demo/astronaut.png --style "$style" --out ".demo/astronaut_painted_$style.png"
done
