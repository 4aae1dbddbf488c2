#include "weft/autograd/ops/composed.h"

namespace weft::detail {

void rethrow_as(const char* op, const Error&) {
  try {
    throw;
  } catch (Error& e) {
    e.set_text(named(op_name() ? op_name() : op, e.what()));
    throw;
  }
}

}  // namespace weft::detail
