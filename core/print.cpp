// Follows PyTorch's torch/_tensor_str.py in what is printed; the code is weft's own.
#include <cmath>
#include <cstdio>
#include <ostream>

#include "weft/core/factory.h"

namespace weft {

namespace {

thread_local PrintOptions t_options;

/// One element, as text or number. Reads by offset, so that only what is shown is touched.
struct Reader {
  const void* data;
  Dtype dtype;

  double number(int64_t at) const {
    switch (dtype) {
      case Dtype::f32: return static_cast<const float*>(data)[at];
      case Dtype::f64: return static_cast<const double*>(data)[at];
      case Dtype::bf16: return static_cast<float>(static_cast<const bf16*>(data)[at]);
      case Dtype::f16: return static_cast<float>(static_cast<const f16*>(data)[at]);
      default: return static_cast<double>(integer(at));
    }
  }
  int64_t integer(int64_t at) const {
    switch (dtype) {
      case Dtype::i64: return static_cast<const int64_t*>(data)[at];
      case Dtype::i32: return static_cast<const int32_t*>(data)[at];
      case Dtype::i16: return static_cast<const int16_t*>(data)[at];
      case Dtype::u16: return static_cast<const uint16_t*>(data)[at];
      case Dtype::i8: return static_cast<const int8_t*>(data)[at];
      default: return static_cast<const uint8_t*>(data)[at];
    }
  }
};

std::string format_double(const char* format, int precision, double v) {
  if (std::isnan(v)) return "nan";  // C may print -nan
  int n = std::snprintf(nullptr, 0, format, precision, v);
  std::string s(static_cast<size_t>(n), '\0');
  std::snprintf(s.data(), s.size() + 1, format, precision, v);
  return s;
}

class Printer {
 public:
  Printer(const Tensor& x, const PrintOptions& o)
      : options_(o),
        shape_(x.shape()),
        strides_(x.strides()),
        read_{x.raw_data(), x.dtype()},
        summarise_(x.numel() > o.threshold) {
    detail::refuse_recorded(x, "printing");
    measure(x);
  }

  std::string text(int indent) const { return block(0, 0, indent); }

 private:
  const PrintOptions& options_;
  Shape shape_, strides_;
  Reader read_;
  bool summarise_;
  bool integers_ = true, scientific_ = false;
  size_t width_ = 1;

  bool edges_only(int64_t size) const { return summarise_ && size > 2 * options_.edge_items; }

  /// Calls f(index) for the indices of an axis that are shown and gap() where some are left out.
  template <class F, class G> void for_shown(int64_t size, const F& f, const G& gap) const {
    bool edges = edges_only(size);
    for (int64_t i = 0; i < size; ++i) {
      if (edges && i == options_.edge_items) {
        gap();
        i = size - options_.edge_items;
        if (i == size) break;
      }
      f(i);
    }
  }

  template <class F> void for_elements(int dim, int64_t at, const F& f) const {
    if (dim == shape_.size()) return f(at);
    for_shown(
        shape_[dim], [&](int64_t i) { for_elements(dim + 1, at + i * strides_[dim], f); }, [] {});
  }

  /// The layout depends on all shown numbers: plain, integral or scientific, and the common width.
  void measure(const Tensor& x) {
    if (!x.is_floating()) {
      for_elements(0, 0, [&](int64_t at) { width_ = std::max(width_, element(at).size()); });
      return;
    }
    double low = INFINITY, high = 0;
    for_elements(0, 0, [&](int64_t at) {
      double v = read_.number(at);
      if (!std::isfinite(v) || v == 0) return;
      low = std::min(low, std::abs(v));
      high = std::max(high, std::abs(v));
      integers_ = integers_ && v == std::ceil(v);
    });
    if (high == 0) return;
    scientific_ = options_.scientific.value_or(high / low > 1000 || high > 1e8 || low < 1e-4);
    for_elements(0, 0, [&](int64_t at) {
      double v = read_.number(at);
      if (std::isfinite(v) && v != 0) width_ = std::max(width_, element(at).size());
    });
  }

  std::string element(int64_t at) const {
    if (read_.dtype == Dtype::boolean) return read_.integer(at) ? "True" : "False";
    if (!is_floating(read_.dtype)) return std::to_string(read_.integer(at));
    double v = read_.number(at);
    if (scientific_) return format_double("%.*e", options_.precision, v);
    if (!integers_) return format_double("%.*f", options_.precision, v);
    return format_double("%.*f", 0, v) + (std::isfinite(v) ? "." : "");
  }

  std::string padded(int64_t at) const {
    std::string s = element(at);
    return s.size() < width_ ? std::string(width_ - s.size(), ' ') + s : s;
  }

  std::string row(int64_t at, int indent) const {
    int64_t per_line = std::max<int64_t>(1, (options_.line_width - indent) / static_cast<int64_t>(width_ + 2));
    std::string s = "[";
    int64_t n = 0;
    auto separate = [&] {
      if (n > 0) s += n % per_line ? ", " : ",\n" + std::string(static_cast<size_t>(indent) + 1, ' ');
      ++n;
    };
    for_shown(
        shape_.back(),
        [&](int64_t i) {
          separate();
          s += padded(at + i * strides_.back());
        },
        [&] {
          separate();
          s += options_.edge_items ? " ..." : "...";
        });
    return s + "]";
  }

  std::string block(int dim, int64_t at, int indent) const {
    int rest = shape_.size() - dim;
    if (rest == 0) return padded(at);
    if (rest == 1) return row(at, indent);
    std::string separator = "," + std::string(static_cast<size_t>(rest) - 1, '\n') +
                            std::string(static_cast<size_t>(indent) + 1, ' ');
    std::string s = "[";
    bool first = true;
    auto add = [&](const std::string& part) {
      if (!std::exchange(first, false)) s += separator;
      s += part;
    };
    for_shown(
        shape_[dim], [&](int64_t i) { add(block(dim + 1, at + i * strides_[dim], indent + 1)); }, [&] { add("..."); });
    return s + "]";
  }
};

std::string size_tuple(const Shape& shape) {
  std::string s = "(";
  for (int i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

void set_print_options(const PrintOptions& o) {
  WEFT_CHECK(o.precision >= 0 && o.precision <= 100 && o.threshold >= 0 && o.edge_items >= 0 && o.line_width > 0,
             ValueError, "set_print_options: precision ", o.precision, " must be in 0..100, threshold ", o.threshold,
             " and edge_items ", o.edge_items, " at least 0, line_width ", o.line_width, " above 0");
  t_options = o;
}

std::string str(const Tensor& t) {
  if (!t.defined()) return "tensor(undefined)";
  const PrintOptions& o = t_options;
  constexpr int kIndent = 7;  // of what follows "tensor("
  Tensor x = t.detach().to(Device());
  std::vector<std::string> suffixes;
  if (t.device() != Device()) suffixes.push_back("device='" + str(t.device()) + "'");
  bool plain = t.dtype() == Dtype::f32 || (t.numel() > 0 && (t.dtype() == Dtype::i64 || t.dtype() == Dtype::boolean));
  if (t.numel() == 0 ? t.rank() != 1 : o.edge_items == 0) suffixes.push_back("size=" + size_tuple(t.shape()));
  if (!plain) suffixes.push_back(std::string("dtype=torch.") + traits(t.dtype()).torch_name);
  if (t.requires_grad()) suffixes.push_back("requires_grad=True");

  std::string s = "tensor(" + (t.numel() == 0 ? std::string("[]") : Printer(x, o).text(kIndent));
  size_t newline = s.rfind('\n');
  // PyTorch counts two columns too many on a text of several lines; so the same lines break.
  size_t column = newline == std::string::npos ? s.size() + 2 : s.size() - newline + 1;
  for (const std::string& suffix : suffixes) {
    if (column + suffix.size() + 2 > static_cast<size_t>(o.line_width)) {
      s += ",\n" + std::string(kIndent, ' ') + suffix;
      column = kIndent + suffix.size();
    } else {
      s += ", " + suffix;
      column += suffix.size() + 2;
    }
  }
  return s + ")";
}

std::ostream& operator<<(std::ostream& os, const Tensor& t) { return os << str(t); }

}  // namespace weft
