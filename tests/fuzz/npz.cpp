#include "fuzz/target.h"
#include "weft/io/npy.h"

WEFT_FUZZ_TARGET(bytes) { (void)weft::io::load_npz(bytes, "fuzz", {.widen = true}); }
