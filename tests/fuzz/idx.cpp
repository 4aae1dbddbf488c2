#include "weft/io/idx.h"
#include "fuzz/target.h"

WEFT_FUZZ_TARGET(bytes) { (void)weft::io::read_idx({bytes, "fuzz"}); }
