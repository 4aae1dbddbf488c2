#include "weft/autograd/ops/composed.h"

#include <cstring>

namespace weft::detail {

void rethrow_with(const Error& e, const std::string& text) {
  if (dynamic_cast<const ShapeError*>(&e)) throw ShapeError(text);
  if (dynamic_cast<const DtypeError*>(&e)) throw DtypeError(text);
  if (dynamic_cast<const DeviceError*>(&e)) throw DeviceError(text);
  if (dynamic_cast<const ValueError*>(&e)) throw ValueError(text);
  if (dynamic_cast<const IoError*>(&e)) throw IoError(text);
  if (dynamic_cast<const NotSupported*>(&e)) throw NotSupported(text);
  if (dynamic_cast<const CommError*>(&e)) throw CommError(text);
  if (dynamic_cast<const OutOfMemory*>(&e)) throw OutOfMemory(text);
  throw Error(text);
}

void rethrow_as(const char* op, const Error& e) {
  const char* rest = std::strstr(e.what(), ": ");
  const size_t length = std::strlen(op);
  const bool named = rest && static_cast<size_t>(rest - e.what()) == length && !std::strncmp(e.what(), op, length);
  if (named) throw;
  rethrow_with(e, str(op, ": ", rest ? rest + 2 : e.what()));
}

}  // namespace weft::detail
