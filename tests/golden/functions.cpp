// The table of functions, and the cases of kind "function".
#include "golden/numeric.h"
#include "golden/registry.h"

namespace golden {

const Functions& functions() {
  static const Functions table = [] {
    Functions f;
    add_unary(f);
    add_binary(f);
    add_reduce(f);
    add_shape(f);
    add_index(f);
    add_matmul(f);
    add_conv(f);
    add_pool(f);
    add_norm(f);
    add_resize(f);
    add_loss(f);
    add_catalogue(f);
    add_encoding(f);
    add_composites(f);
    add_unit(f);
    add_linalg(f);
    add_elementwise(f);
    add_search(f);
    add_arrange(f);
    return f;
  }();
  return table;
}

void run_function(const Folder& folder, const Value& item, Failures& failures) {
  const Function& function = functions().at(item["module"].as_string());
  const Args args = folder.args(item, "call");
  Numeric run;
  run.inputs = folder.inputs(item);
  run.forward = [&](const std::vector<Tensor>& inputs) {
    const Call call(args, inputs, function.tensors);
    std::vector<Tensor> y = function.call(call);
    call.check_all_read();
    return y;
  };
  run_numeric(folder, item, run, failures);
}

}  // namespace golden
