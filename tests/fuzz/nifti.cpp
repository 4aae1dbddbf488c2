#include "fuzz/target.h"
#include "weft/io/volume.h"

WEFT_FUZZ_TARGET(bytes) { (void)weft::io::read_volume(bytes, "fuzz"); }
