// The sections beside the cases: errors, initial values, printing, state, output shapes.
#include "golden/numeric.h"
#include "golden/registry.h"

namespace golden {
namespace {

[[maybe_unused]] std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

[[maybe_unused]] std::vector<Tensor> zero_inputs(const Value& item) {
  std::vector<Tensor> x;
  const Dtype dtype = Folder::dtype(item);
  for (size_t i = 0; i < item["input_shapes"].list.size(); ++i) {
    const Value& shape = item["input_shapes"].list[i];
    const Value& words = item["input_dtypes"];
    const bool own = words.is_list() && i < words.list.size() && words.list[i].is_string();
    x.push_back(shape.is_null() ? Tensor() : weft::zeros(Shape(shape.as_ints()), own ? dtype_of(words.list[i].string) : dtype));
  }
  return x;
}

}  // namespace

void run_error(const Folder& folder, const Value& item, Failures& failures) {
  (void)folder, (void)item, (void)failures;
  throw Skip("errors");
}

void run_init(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_repr(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_state(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_shapes(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_module(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_optim(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_optim_fn(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_train(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_schedule(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }
void run_sync(const Folder&, const Value& item, Failures&) { throw Skip("module " + item["module"].text()); }

}  // namespace golden
