#include "weft/autograd/ops/linalg/einsum.h"

#include <algorithm>
#include <array>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"

namespace weft {
namespace {

// Axes are numbered: A-Z and a-z by their ASCII code, those of the ellipsis from kEllipsis on, aligned at the right.
constexpr int kEllipsis = 128, kLabels = kEllipsis + kMaxRank;
using Labels = std::vector<int>;

bool holds(const Labels& l, int label) { return std::find(l.begin(), l.end(), label) != l.end(); }

struct Term {
  Labels before, after;  // letters before and behind the ellipsis
  bool ellipsis = false;
  int letters() const { return static_cast<int>(before.size() + after.size()); }
  /// All labels, for an ellipsis of `axes` axes.
  Labels expand(int axes, int widest) const {
    Labels l = before;
    for (int i = 0; i < axes; ++i) l.push_back(kEllipsis + widest - axes + i);
    l.insert(l.end(), after.begin(), after.end());
    return l;
  }
};

Term parse_term(std::string_view text, std::string_view equation) {
  Term t;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') continue;
    if (c == '.') {
      WEFT_CHECK(text.substr(i, 3) == "..." && !t.ellipsis, ValueError, "stray '.' in \"", equation, "\"");
      t.ellipsis = true;
      i += 2;
      continue;
    }
    WEFT_CHECK((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), ValueError, "'", c, "' in \"", equation,
               "\" is no letter");
    (t.ellipsis ? t.after : t.before).push_back(c);
  }
  return t;
}

// A tensor with a name for each axis, no name twice.
struct Named {
  Tensor x;
  Labels labels;
  int axis(int label) const {
    return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
  }
  int64_t size(int label) const { return x.size(axis(label)); }

  void drop(int label) {  // of size 1
    x = x.squeeze(axis(label));
    labels.erase(labels.begin() + axis(label));
  }
  void sum_over(const Labels& gone) {
    if (gone.empty()) return;
    Shape dims;
    for (int label : gone) dims.push_back(axis(label));
    x = sum(x, dims);
    std::erase_if(labels, [&](int l) { return holds(gone, l); });
  }
  /// The axes in this order; labels that are missing become axes of size 1.
  Tensor ordered(const Labels& order) const {
    Shape dims, shape;
    for (int label : order) {
      if (!holds(labels, label)) {
        shape.push_back(1);
        continue;
      }
      dims.push_back(axis(label));
      shape.push_back(size(label));
    }
    return x.permute(dims).reshape(shape);
  }
};

Labels join(std::initializer_list<const Labels*> parts) {
  Labels l;
  for (const Labels* p : parts) l.insert(l.end(), p->begin(), p->end());
  return l;
}

// Both multiplied and summed over what nothing after them needs.
Named contract(Named a, Named b, const std::array<bool, kLabels>& needed) {
  Labels batch, summed, left, right;
  const Labels both = a.labels;
  for (int label : both) {
    if (!holds(b.labels, label)) continue;
    // an axis of size 1 against a longer one broadcasts: only the longer one has it
    if (a.size(label) == b.size(label)) (needed[static_cast<size_t>(label)] ? batch : summed).push_back(label);
    else if (a.size(label) == 1) a.drop(label);
    else b.drop(label);
  }
  for (Named* t : {&a, &b}) {
    Labels gone;
    for (int label : t->labels)
      if (!holds(summed, label) && !needed[static_cast<size_t>(label)]) gone.push_back(label);
    t->sum_over(gone);
  }
  for (int label : a.labels)
    if (!holds(batch, label) && !holds(summed, label)) left.push_back(label);
  for (int label : b.labels)
    if (!holds(batch, label) && !holds(summed, label)) right.push_back(label);

  const Labels result = join({&batch, &left, &right});
  if (summed.empty()) return {mul(a.ordered(result), b.ordered(result)), result};
  const auto product = [](const Named& t, const Labels& l) {
    int64_t n = 1;
    for (int label : l) n *= t.size(label);
    return n;
  };
  const int64_t B = product(a, batch), L = product(a, left), K = product(a, summed), R = product(b, right);
  Shape shape;
  for (int label : batch) shape.push_back(a.size(label));
  for (int label : left) shape.push_back(a.size(label));
  for (int label : right) shape.push_back(b.size(label));
  const Tensor x = a.ordered(join({&batch, &left, &summed})).reshape({B, L, K});
  const Tensor y = b.ordered(join({&batch, &summed, &right})).reshape({B, K, R});
  return {bmm(x, y).reshape(shape), result};
}

}  // namespace

Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands) {
  const OpName op("einsum");
  const size_t arrow = equation.find("->");
  const std::string_view inputs = equation.substr(0, arrow);
  std::vector<Term> terms;
  for (size_t at = 0;;) {
    const size_t comma = inputs.find(',', at);
    terms.push_back(parse_term(inputs.substr(at, comma == inputs.npos ? inputs.npos : comma - at), equation));
    if (comma == inputs.npos) break;
    at = comma + 1;
  }
  WEFT_CHECK(!operands.empty() && terms.size() == operands.size(), ValueError, "\"", equation, "\" names ",
             terms.size(), " operands but ", operands.size(), " are given");

  int widest = 0;  // axes of the ellipsis
  for (size_t k = 0; k < terms.size(); ++k) {
    const int extra = operands[k].rank() - terms[k].letters();
    WEFT_CHECK(terms[k].ellipsis ? extra >= 0 : extra == 0, ShapeError, "operand ", k, " is ", operands[k].shape(),
               " but \"", equation, "\" names ", terms[k].letters(), " axes of it");
    widest = std::max(widest, extra);
  }

  // Diagonals, sizes, and how many operands have each label
  std::array<int64_t, kLabels> size;
  std::array<int, kLabels> count{}, uses{};
  size.fill(1);
  std::vector<Named> named;
  for (size_t k = 0; k < terms.size(); ++k) {
    Named t{operands[k], terms[k].expand(operands[k].rank() - terms[k].letters(), widest)};
    for (int label : t.labels) ++count[static_cast<size_t>(label)];
    for (size_t i = 0; i < t.labels.size();) {
      const auto again = std::find(t.labels.begin() + static_cast<long>(i) + 1, t.labels.end(), t.labels[i]);
      if (again == t.labels.end()) {
        ++i;
        continue;
      }
      const int a = static_cast<int>(i), b = static_cast<int>(again - t.labels.begin()), label = t.labels[i];
      WEFT_CHECK(t.x.size(a) == t.x.size(b), ShapeError, "'", static_cast<char>(label), "' stands for axes of ",
                 t.x.size(a), " and ", t.x.size(b), " of operand ", k);
      t.x = t.x.diagonal(0, a, b);  // the common axis goes to the end
      t.labels.erase(again);
      t.labels.erase(t.labels.begin() + a);
      t.labels.push_back(label);
    }
    for (int label : t.labels) {
      int64_t& n = size[static_cast<size_t>(label)];
      const int64_t m = t.size(label);
      WEFT_CHECK(n == m || n == 1 || m == 1, ShapeError,
                 label < kEllipsis ? str("'", static_cast<char>(label), "'") : std::string("an axis of '...'"),
                 " has size ", m, " in operand ", k, " but ", n, " before");
      if (n == 1) n = m;
      ++uses[static_cast<size_t>(label)];
    }
    named.push_back(std::move(t));
  }

  Labels output;
  if (arrow == equation.npos) {
    for (int i = 0; i < widest; ++i) output.push_back(kEllipsis + i);
    for (int c = 'A'; c <= 'z'; ++c)
      if (count[static_cast<size_t>(c)] == 1) output.push_back(c);
  } else {
    const Term t = parse_term(equation.substr(arrow + 2), equation);
    output = t.expand(t.ellipsis ? widest : 0, widest);
    for (size_t i = 0; i < output.size(); ++i) {
      const int label = output[i];
      WEFT_CHECK(uses[static_cast<size_t>(label)] > 0, ValueError, "'", static_cast<char>(label),
                 "' of the result occurs in no operand of \"", equation, "\"");
      WEFT_CHECK(std::find(output.begin(), output.begin() + static_cast<long>(i), label) ==
                     output.begin() + static_cast<long>(i),
                 ValueError, "'", static_cast<char>(label), "' stands twice in the result of \"", equation, "\"");
    }
  }

  // Left to right; a label is needed while a later operand or the result has it
  std::array<bool, kLabels> needed{};
  Named acc = std::move(named[0]);
  for (size_t k = 0; k <= named.size() - 1; ++k) {
    for (int label : k == 0 ? acc.labels : named[k].labels) --uses[static_cast<size_t>(label)];
    for (size_t l = 0; l < needed.size(); ++l) needed[l] = uses[l] > 0 || holds(output, static_cast<int>(l));
    if (k > 0) {
      acc = contract(std::move(acc), std::move(named[k]), needed);
      continue;
    }
    Labels gone;
    for (int label : acc.labels)
      if (!needed[static_cast<size_t>(label)]) gone.push_back(label);
    acc.sum_over(gone);
  }
  return acc.ordered(output);
}

}  // namespace weft
