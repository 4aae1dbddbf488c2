// What the driver can run: one table from the schema's names to adapters.
// Knows weft's ops only through those adapters, one file per family.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "golden/args.h"

namespace golden {

/// A function of the schema: the names of its tensor parameters in order (a list op has none: it reads `inputs`), and
/// how to call it.
struct Function {
  std::vector<std::string> tensors;
  std::function<std::vector<Tensor>(const Call&)> call;
};

/// Names -> functions.
class Functions {
 public:
  /// `call` returns one Tensor or a list of them.
  template <class F> void add(const std::string& name, std::vector<std::string> tensors, F call) {
    table_[name] = {std::move(tensors), [call](const Call& c) {
                      if constexpr (std::is_same_v<std::invoke_result_t<F, const Call&>, Tensor>)
                        return std::vector<Tensor>{call(c)};
                      else return call(c);
                    }};
  }
  /// The function; Skip if there is none.
  const Function& at(const std::string& name) const {
    const auto it = table_.find(name);
    if (it == table_.end()) throw Skip("function " + name);
    return it->second;
  }
  bool has(const std::string& name) const { return table_.contains(name); }

 private:
  std::map<std::string, Function> table_;
};

/// All functions, filled on first use by the add_* below.
const Functions& functions();

void add_unary(Functions& f);
void add_binary(Functions& f);
void add_reduce(Functions& f);
void add_shape(Functions& f);
void add_index(Functions& f);
void add_matmul(Functions& f);
void add_conv(Functions& f);
void add_pool(Functions& f);
void add_norm(Functions& f);
void add_resize(Functions& f);
void add_loss(Functions& f);
void add_catalogue(Functions& f);
void add_encoding(Functions& f);
void add_composites(Functions& f);
void add_unit(Functions& f);
void add_linalg(Functions& f);
void add_elementwise(Functions& f);
void add_search(Functions& f);
void add_arrange(Functions& f);

}  // namespace golden
