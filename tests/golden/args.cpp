#include "golden/args.h"

namespace golden {
namespace {

void flatten(const Value& v, std::vector<double>& out) {
  if (!v.is_list()) {
    out.push_back(v.as_double());
    return;
  }
  for (const Value& e : v.list) flatten(e, out);
}

Shape shape_of(const Value& v) {
  Shape s;
  for (const Value* p = &v; p->is_list(); p = &p->list.at(0)) {
    s.push_back(static_cast<int64_t>(p->list.size()));
    if (p->list.empty()) break;
  }
  return s;
}

}  // namespace

weft::Device& device() {
  static weft::Device d;
  return d;
}

Dtype dtype_of(const std::string& word) {
  for (int i = 0; i < weft::kDtypes; ++i)
    if (word == weft::name(static_cast<Dtype>(i))) return static_cast<Dtype>(i);
  throw Skip("dtype " + word);
}

bool Args::given(const std::string& name) const {
  read_.insert(name);
  for (const auto& member : object_->members)
    if (member.first == name) return true;
  return false;
}

const Value& Args::value(const std::string& name) const {
  read_.insert(name);
  return (*object_)[name];
}

int64_t Args::integer(const std::string& name, int64_t otherwise) const {
  return opt_integer(name).value_or(otherwise);
}
int64_t Args::integer(const std::string& name) const {
  if (!has(name)) throw Misfit("argument " + name + " is missing");
  return *opt_integer(name);
}
double Args::number(const std::string& name, double otherwise) const { return opt_number(name).value_or(otherwise); }
bool Args::boolean(const std::string& name, bool otherwise) const { return opt_boolean(name).value_or(otherwise); }
std::string Args::word(const std::string& name, const std::string& otherwise) const {
  return has(name) ? value(name).as_string() : otherwise;
}
std::vector<int64_t> Args::ints(const std::string& name) const { return value(name).as_ints(); }

Scalar Args::scalar(const std::string& name, Scalar otherwise) const {
  if (!has(name)) return otherwise;
  const Value& v = value(name);
  if (v.is_boolean()) return v.boolean;
  if (v.is_integer()) return v.integer;
  return v.as_double();
}

std::optional<int64_t> Args::opt_integer(const std::string& name) const {
  if (!has(name)) return std::nullopt;
  const Value& v = value(name);
  // PyTorch takes [n] wherever it takes n.
  return v.is_list() && v.list.size() == 1 ? v.list.at(0).as_int() : v.as_int();
}
std::optional<double> Args::opt_number(const std::string& name) const {
  return has(name) ? std::optional(value(name).as_double()) : std::nullopt;
}
std::optional<bool> Args::opt_boolean(const std::string& name) const {
  return has(name) ? std::optional(value(name).as_bool()) : std::nullopt;
}
std::optional<Shape> Args::opt_ints(const std::string& name) const {
  return has(name) ? std::optional(Shape(ints(name))) : std::nullopt;
}
std::optional<Dtype> Args::opt_dtype(const std::string& name) const {
  return has(name) ? std::optional(dtype_of(value(name).as_string())) : std::nullopt;
}

Tensor Args::tensor(const std::string& name) const {
  const Value& v = value(name);
  if (v.is_null()) return {};
  if (v.has("$tensor")) {
    Tensor& t = looked_up_[name];
    if (!t.defined()) t = lookup_(v["$tensor"].as_string());
    return t;
  }
  if (v.is_object()) {
    const Value& zeros = v["$zeros"];
    if (!zeros.is_list()) throw Skip("argument " + name + " = " + v.text());
    return weft::zeros(Shape(zeros.as_ints()), {dtype_, device()});
  }
  std::vector<double> numbers;
  flatten(v, numbers);
  return weft::tensor(numbers, shape_of(v), weft::TensorOptions(dtype_, device()));
}

std::vector<std::pair<std::string, Tensor>> Args::named_tensors() const {
  std::vector<std::pair<std::string, Tensor>> all;
  for (const auto& [name, v] : object_->members) {
    if (!v.has("$tensor")) continue;
    const bool known = read_.contains(name);
    all.emplace_back(name, tensor(name));
    if (!known) read_.erase(name);
  }
  return all;
}

void Args::check_all_read() const {
  static const std::set<std::string> kNoNumber = {"inplace", "foreach",      "fused",  "capturable", "differentiable",
                                                  "device",  "size_average", "reduce", "verbose"};
  for (const auto& [name, v] : object_->members) {
    const bool start = name == "last_epoch" && v.is_integer() && v.integer == -1;  // of a schedule, as by default
    if (!v.is_null() && !start && !read_.contains(name) && !kNoNumber.contains(name)) throw Skip("argument " + name);
  }
}

Tensor Call::positional(const std::string& name) const {
  for (size_t i = 0; i < names_->size() && i < inputs.size(); ++i)
    if ((*names_)[i] == name) return inputs[i];
  return {};
}

Tensor Call::in(const std::string& name) const {
  Tensor x = positional(name);
  return x.defined() ? x : tensor(name);
}

}  // namespace golden
