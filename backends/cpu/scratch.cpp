#include "weft/backends/cpu/scratch.h"

#include "weft/core/backend.h"

namespace weft::cpu {

Scratch::Scratch(size_t bytes) { reset(bytes); }
Scratch::~Scratch() { reset(0); }

void Scratch::reset(size_t bytes) {
  Backend& cpu = backend(DeviceType::cpu);
  if (data_) cpu.deallocate(data_, bytes_, 0);
  data_ = nullptr;
  bytes_ = 0;
  if (bytes == 0) return;
  data_ = cpu.allocate(bytes, 0);
  bytes_ = bytes;
}

}  // namespace weft::cpu
