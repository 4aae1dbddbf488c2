#include "weft/train/checkpoint_file.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ostream>
#include <streambuf>

#include "weft/io/checksum.h"
#include "weft/io/file.h"
#include "weft/io/safetensors.h"
#include "weft/optim/state.h"

namespace weft::training {

namespace {

constexpr int64_t kFormat = 1;
constexpr const char *kFormatKey = "weft.format", *kStepKey = "weft.step", *kPartsKey = "weft.parts",
                     *kMetricKey = "weft.metric", *kSumKey = "weft.crc32";
constexpr std::string_view kNoSum = "00000000";

/// Takes the checksum of what is written to it, and keeps nothing.
class SumBuffer : public std::streambuf {
 public:
  uint32_t sum = 0;

 protected:
  std::streamsize xsputn(const char* text, std::streamsize n) override {
    sum = io::crc32(sum, text, static_cast<size_t>(n));
    return n;
  }
  int_type overflow(int_type c) override {
    const char one = traits_type::to_char_type(c);
    xsputn(&one, 1);
    return traits_type::not_eof(c);
  }
};

std::string digits(uint32_t sum) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", sum);
  return text;
}

/// The checksum of the file's bytes as if its own digits were zeros; nothing where they do not stand in the header.
std::optional<std::string> sum_of(io::Bytes bytes) {
  uint64_t header = 0;
  if (bytes.size() < 8) return std::nullopt;
  std::memcpy(&header, bytes.data(), 8);
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string before = '"' + std::string(kSumKey) + "\":\"";
  const size_t found = all.substr(0, 8 + std::min<size_t>(header, all.size() - 8)).find(before);
  const size_t at = found + before.size(), after = at + kNoSum.size();
  if (found == std::string_view::npos || after > all.size()) return std::nullopt;
  uint32_t sum = io::crc32(0, all.data(), at);
  sum = io::crc32(sum, kNoSum.data(), kNoSum.size());
  return digits(io::crc32(sum, all.data() + after, all.size() - after));
}

template <class T> std::optional<T> number(const std::map<std::string, std::string>& texts, const char* key) {
  const auto found = texts.find(key);
  if (found == texts.end()) return std::nullopt;
  const std::string& text = found->second;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void write_checkpoint(StateDict dict, const CheckpointHead& head, const std::string& path) {
  dict.metadata[kFormatKey] = std::to_string(kFormat);
  dict.metadata[kStepKey] = std::to_string(head.step);
  if (head.metric) dict.metadata[kMetricKey] = optim::number_text(*head.metric);
  std::string& parts = dict.metadata[kPartsKey];
  for (const std::string& name : head.parts) parts += (parts.empty() ? "" : " ") + name;
  dict.metadata[kSumKey] = kNoSum;
  SumBuffer sum;
  std::ostream stream(&sum);
  io::save(dict, stream);
  dict.metadata[kSumKey] = digits(sum.sum);
  io::save(dict, path);
}

StateDict read_checkpoint(const std::string& path, CheckpointHead& head) {
  const auto refuse = [&](const auto&... why) { raise<IoError>(path, ": ", why...); };
  const io::SafetensorsFile file(path);
  const auto& texts = file.metadata();
  const std::optional<int64_t> format = number<int64_t>(texts, kFormatKey), step = number<int64_t>(texts, kStepKey);
  if (!format || !step || !texts.contains(kPartsKey) || !texts.contains(kSumKey)) refuse("is no checkpoint");
  if (*format > kFormat)
    refuse("is of checkpoint format ", *format, ", this weft reads up to ", kFormat, "; use a newer weft");
  const std::optional<std::string> sum = sum_of(io::MappedFile(path).bytes());
  if (!sum || *sum != texts.at(kSumKey))
    refuse("its checksum is ", sum.value_or("nowhere"), ", not ", texts.at(kSumKey), ": it was altered or damaged");

  head = {*step, {}, number<double>(texts, kMetricKey)};
  const std::string& parts = texts.at(kPartsKey);
  for (size_t at = 0; at < parts.size();) {
    const size_t end = std::min(parts.find(' ', at), parts.size());
    head.parts.push_back(parts.substr(at, end - at));
    at = end + 1;
  }
  return file.load();
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

}  // namespace weft::training
