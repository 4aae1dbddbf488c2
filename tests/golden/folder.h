// One folder of golden vectors: its manifest and tensors, and the running of its sections.
// Knows cases; ops and modules come through the registry.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "golden/args.h"
#include "golden/compare.h"
#include "golden/value.h"
#include "weft/core/state_dict.h"

namespace golden {

/// A failed comparison; collected, so that a case reports the first few.
class Failures {
 public:
  void add(const std::string& what, const std::string& how) {
    if (!how.empty()) list_.push_back(what + ": " + how);
  }
  bool empty() const { return list_.empty(); }
  std::string text() const;

 private:
  std::vector<std::string> list_;
};

/// Counts of a run, and why cases were skipped.
struct Report {
  int passed = 0, failed = 0, skipped = 0;
  int unknown = 0;  ///< of the skipped: what this driver does not know
  std::map<std::string, int> skip_reasons;
};

struct Options {
  std::string filter;    ///< run only cases whose name or module contains it
  bool verbose = false;  ///< a line per case
};

class Folder {
 public:
  explicit Folder(const std::string& path);
  /// Runs every section and adds to the report; prints a line per failure.
  void run(const Options& o, Report& report);

  /// The tensor of a key; std::runtime_error that names it otherwise.
  Tensor tensor(const Value& item, const std::string& key) const;
  Args args(const Value& item, const char* which) const;
  /// Positional inputs of a case: undefined for null.
  std::vector<Tensor> inputs(const Value& item) const;
  /// Tolerances of a case for one of outputs, grads, double_backward, after; `name` may have its own.
  static Tolerance tolerance(const Value& item, const std::string& section, const std::string& name = "");
  static Dtype dtype(const Value& item);
  const std::string& path() const { return path_; }

 private:
  void guard(const Value& item, const char* section, const Options& o, Report& report,
             const std::function<void(const Value&, Failures&)>& run) const;
  std::string path_;
  Value manifest_;
  mutable std::map<std::string, weft::StateDict> files_;
};

/// The local part of a key: behind the case's name and its dot.
std::string local_name(const std::string& key);

// Kinds of cases. Each throws Skip for what it does not know.
void run_function(const Folder& folder, const Value& item, Failures& failures);
void run_module(const Folder& folder, const Value& item, Failures& failures);
void run_optim(const Folder& folder, const Value& item, Failures& failures);
void run_optim_fn(const Folder& folder, const Value& item, Failures& failures);
void run_schedule(const Folder& folder, const Value& item, Failures& failures);
void run_train(const Folder& folder, const Value& item, Failures& failures);
void run_sync(const Folder& folder, const Value& item, Failures& failures);
// Other sections
void run_error(const Folder& folder, const Value& item, Failures& failures);
void run_init(const Folder& folder, const Value& item, Failures& failures);
void run_repr(const Folder& folder, const Value& item, Failures& failures);
void run_state(const Folder& folder, const Value& item, Failures& failures);
void run_shapes(const Folder& folder, const Value& item, Failures& failures);

}  // namespace golden
