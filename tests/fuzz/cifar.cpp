#include "weft/io/cifar.h"
#include "fuzz/target.h"

WEFT_FUZZ_TARGET(bytes) {
  try {
    (void)weft::io::read_cifar10({bytes, "fuzz"});
  } catch (const weft::IoError&) { (void)weft::io::read_cifar100({bytes, "fuzz"}); }
}
