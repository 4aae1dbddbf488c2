#include "weft/core/state_dict.h"

#include <algorithm>

namespace weft {

namespace {

/// Levenshtein distance: "did you mean" of small names.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

void StateDict::insert(std::string name, const Tensor& tensor) {
  auto [it, fresh] = index_.emplace(name, entries_.size());
  if (fresh && foreign.contains(name)) {
    index_.erase(it);
    fresh = false;
  }
  WEFT_CHECK(fresh, ValueError, "state_dict: there are two entries named '", name, "'");
  try {
    entries_.emplace_back(std::move(name), tensor);
  } catch (...) {
    index_.erase(it);
    throw;
  }
}

void StateDict::set(std::string name, const Tensor& tensor) {
  auto it = index_.find(name);
  foreign.erase(name);
  if (it == index_.end()) insert(std::move(name), tensor);
  else entries_[it->second].second = tensor;
}

const Tensor* StateDict::find(std::string_view name) const {
  auto it = index_.find(name);
  if (it != index_.end()) return &entries_[it->second].second;
  auto other = foreign.find(name);
  if (other != foreign.end()) raise<NotSupported>(other->second.error);
  return nullptr;
}

const Tensor& StateDict::at(std::string_view name) const {
  if (const Tensor* t = find(name)) return *t;
  const std::string* nearest = nullptr;
  size_t best = std::max<size_t>(3, name.size() / 3);
  for (const Entry& e : entries_) {
    size_t d = edit_distance(name, e.first);
    if (d < best) {
      best = d;
      nearest = &e.first;
    }
  }
  raise<ValueError>("state_dict: no entry named '", name, "' among ", entries_.size(),
                    nearest ? "; did you mean '" + *nearest + "'?" : std::string());
}

bool StateDict::erase(std::string_view name) {
  auto it = index_.find(name);
  if (it == index_.end()) {
    auto other = foreign.find(name);
    if (other == foreign.end()) return false;
    foreign.erase(other);
    return true;
  }
  size_t at = it->second;
  index_.erase(it);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
  for (auto& [key, i] : index_) i -= i > at;
  return true;
}

StateDict StateDict::child(std::string_view prefix) const {
  StateDict out;
  const std::string start = std::string(prefix) + ".";
  for (const auto& [name, tensor] : entries_)
    if (name.starts_with(start)) out.insert(name.substr(start.size()), tensor);
  for (const auto& [name, other] : foreign)
    if (name.starts_with(start)) out.foreign.emplace(name.substr(start.size()), other);
  for (const auto& [name, text] : metadata)
    if (name.starts_with(start)) out.metadata[name.substr(start.size())] = text;
  return out;
}

void StateDict::merge(const StateDict& other, std::string_view prefix) {
  const std::string start = prefix.empty() ? "" : std::string(prefix) + ".";
  StateDict all = *this;
  for (const auto& [name, tensor] : other) all.insert(start + name, tensor);
  for (const auto& [name, unheld] : other.foreign)
    WEFT_CHECK(!all.contains(start + name) && all.foreign.emplace(start + name, unheld).second, ValueError,
               "state_dict: there are two entries named '", start + name, "'");
  for (const auto& [name, text] : other.metadata)
    WEFT_CHECK(all.metadata.try_emplace(start + name, text).first->second == text, ValueError, "state_dict: metadata '",
               start + name, "' says '", all.metadata[start + name], "', to be merged with '", text, "'");
  *this = std::move(all);
}

}  // namespace weft
