#include "weft/io/image.h"

#include "fuzz/target.h"

// The pixel limit keeps a legal, highly compressed picture from using up the fuzzer's memory.
WEFT_FUZZ_TARGET(bytes) {
  for (int channels : {0, 1, 3, 4})
    (void)weft::io::read_image(bytes, "fuzz", {.channels = channels, .max_pixels = 1 << 20});
  (void)weft::io::read_labels(bytes, "fuzz", 1 << 20);
}
