#include "weft/io/npy.h"
#include "fuzz/target.h"

WEFT_FUZZ_TARGET(bytes) { (void)weft::io::load_npy(bytes, "fuzz", {.widen = true}); }
