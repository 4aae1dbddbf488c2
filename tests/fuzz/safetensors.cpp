#include "weft/io/safetensors.h"
#include "fuzz/target.h"

WEFT_FUZZ_TARGET(bytes) { (void)weft::io::load_safetensors(bytes, "fuzz", {.widen = true}); }
