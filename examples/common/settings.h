// What a run must keep to go on to the same bits, as a part of its checkpoints. Knows no command line.
#pragma once

#include <weft/weft.h>

#include <string>
#include <utility>
#include <vector>

/// Options by their names. Loading refuses a run that had others, and says which.
class Settings {
 public:
  template <class T> Settings& add(const std::string& option, const T& value) {
    values_.emplace_back(option, weft::str(value));
    return *this;
  }

  weft::StateDict state_dict() const {
    weft::StateDict dict;
    for (const auto& [option, value] : values_) dict.metadata[option] = value;
    return dict;
  }
  void load_state_dict(const weft::StateDict& dict) const {
    std::string before, now;
    for (const auto& [option, value] : values_) {
      const auto it = dict.metadata.find(option);
      if (it != dict.metadata.end() && it->second == value) continue;
      const std::string word = (before.empty() ? "" : ", ") + option + ' ';
      before += word + (it == dict.metadata.end() ? "that is not known" : it->second);
      now += word + value;
    }
    if (!before.empty()) weft::raise<weft::ValueError>("the run was started with ", before, ", not with ", now);
  }
  /// "batch 8, lr 0.05, ..."
  std::string words() const {
    std::string text;
    for (const auto& [option, value] : values_) text += (text.empty() ? "" : ", ") + option + ' ' + value;
    return text;
  }

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

/// A number for bytes: data that changed have another one (FNV-1a).
inline uint64_t fingerprint(const void* data, size_t bytes, uint64_t before = 14695981039346656037u) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < bytes; ++i) before = (before ^ p[i]) * 1099511628211u;
  return before;
}
