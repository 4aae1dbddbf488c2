#include "weft/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "weft/io/file.h"
#include "weft/io/stored.h"

namespace weft::io {

static_assert(std::endian::native == std::endian::little, "safetensors and .npy are read as they lie in memory");

namespace {

constexpr size_t kMaxHeader = 100'000'000;  // the reference implementation's limit
constexpr size_t kAlignment = 64;           // of the data in files that weft writes

/// What a dtype's word stands for. A word that is not known is taken, too: its tensor is listed.
Stored stored_of(const std::string& word) {
  for (int i = 0; i < kDtypes; ++i)
    if (word == kDtypeTraits[i].safetensors) return Stored::held(word, static_cast<Dtype>(i));
  if (word == "U32") return Stored::integer(word, Stored::Integer::u32);
  if (word == "U64") return Stored::integer(word, Stored::Integer::u64);
  Stored s;
  s.text = word;
  s.complex = word == "C64" || word == "C128";
  s.bits = word == "C64"              ? 64
           : word == "C128"           ? 128
           : word == "F4"             ? 4
           : word.starts_with("F6_E") ? 6
           : word.starts_with("F8_E") ? 8
                                      : 0;
  return s;
}

/// One tensor as the header describes it.
struct Entry {
  std::string name;
  std::optional<Stored> dtype;
  std::optional<Shape> shape;
  std::vector<uint64_t> offsets;
};

/// Takes the header apart as it is parsed: no tree is built, and nothing deeper than the format allows is followed.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const Source& source, std::map<std::string, std::string>& metadata)
      : source_(source), metadata_(metadata) {}

  std::vector<Entry> entries;

  bool null() override {  // MLX's way to say that there is no metadata
    if (state_ != State::top || key_ != "__metadata__") unexpected("null");
    if (std::exchange(had_metadata_, true)) source_.fail("the header has two __metadata__");
    return true;
  }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_float(double, const std::string& text) override { unexpected("the number " + printable(text)); }
  bool number_integer(int64_t v) override { unexpected(weft::str("the negative number ", v)); }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool number_unsigned(uint64_t v) override {
    if (state_ == State::shape) {
      if (v > INT64_MAX) fail(weft::str("has a size of ", v));
      if (entries.back().shape->size() == kMaxRank) fail(weft::str("has more than ", kMaxRank, " dimensions"));
      entries.back().shape->push_back(static_cast<int64_t>(v));
    } else if (state_ == State::offsets && entries.back().offsets.size() < 2) {
      entries.back().offsets.push_back(v);
    } else {
      unexpected(weft::str("the number ", v));
    }
    return true;
  }

  bool string(std::string& text) override {
    if (state_ == State::metadata) {
      if (!metadata_.emplace(key_, std::move(text)).second)
        source_.fail("two metadata entries are named '" + printable(key_) + "'");
    } else if (state_ == State::entry && key_ == "dtype" && !entries.back().dtype) {
      entries.back().dtype = stored_of(text);
    } else {
      unexpected("the text '" + printable(text) + "'");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (state_ == State::begin) {
      state_ = State::top;
    } else if (state_ == State::top && key_ == "__metadata__") {
      if (std::exchange(had_metadata_, true)) source_.fail("the header has two __metadata__");
      state_ = State::metadata;
    } else if (state_ == State::top) {
      entries.push_back({key_, {}, {}, {}});
      state_ = State::entry;
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    if (state_ == State::entry) {
      const Entry& e = entries.back();
      if (!e.dtype || !e.shape || e.offsets.size() != 2) fail("lacks dtype, shape or data_offsets");
    }
    state_ = state_ == State::top ? State::end : State::top;
    return true;
  }
  bool key(std::string& text) override {
    key_ = std::move(text);
    return true;
  }
  bool start_array(size_t) override {
    if (state_ != State::entry) unexpected("a list");
    if (key_ == "shape" && !entries.back().shape) {
      entries.back().shape = Shape();
      state_ = State::shape;
    } else if (key_ == "data_offsets" && entries.back().offsets.empty()) {
      state_ = State::offsets;
    } else {
      unexpected("a list");
    }
    return true;
  }
  bool end_array() override {
    state_ = State::entry;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    source_.fail(weft::str("the header is not JSON (at its byte ", position, ")"));
  }

 private:
  enum class State { begin, top, metadata, entry, shape, offsets, end } state_ = State::begin;
  [[noreturn]] void fail(const std::string& what) const {
    source_.fail("tensor '" + printable(entries.back().name) + "' " + what);
  }
  [[noreturn]] void unexpected(const std::string& what) const {
    source_.fail("the header has " + what + " where it has no place" +
                 (key_.empty() ? "" : ", at '" + printable(key_) + "'"));
  }
  const Source& source_;
  std::map<std::string, std::string>& metadata_;
  std::string key_;
  bool had_metadata_ = false;
};

/// Every byte of the data belongs to exactly one tensor.
void check_layout(const Source& source, const std::vector<Entry>& entries, size_t data_size) {
  std::vector<const Entry*> order;
  for (const Entry& e : entries) {
    std::string tensor = "tensor '" + printable(e.name) + "'";
    size_t bytes = 0;
    if (!checked_bytes(*e.shape, e.dtype->bits ? e.dtype->bits : 8, bytes))
      source.fail(weft::str(tensor, " has the impossible shape ", *e.shape));
    uint64_t begin = e.offsets[0], end = e.offsets[1];
    if (begin > end || end > data_size)
      source.fail(weft::str(tensor, " lies at bytes ", begin, " to ", end, " of ", data_size, " bytes of data"));
    if (e.dtype->bits && end - begin != bytes)
      source.fail(weft::str(tensor, " has ", end - begin, " bytes, but ", *e.shape, " of ", e.dtype->shown(), " takes ",
                            bytes));
    order.push_back(&e);
  }
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->offsets < b->offsets; });
  uint64_t at = 0;
  for (const Entry* e : order) {
    if (e->offsets[0] != at)
      source.fail(weft::str("tensor '", printable(e->name), "' ",
                            e->offsets[0] < at ? "overlaps another" : "lies behind a gap", " at byte ", e->offsets[0],
                            " of the data"));
    at = e->offsets[1];
  }
  if (at != data_size) source.fail(weft::str(data_size - at, " bytes at the end belong to no tensor"));
}

}  // namespace

struct SafetensorsFile::Content {
  Source source;
  size_t data_at = 0;
  std::vector<Entry> entries;
  std::vector<TensorInfo> infos;
  std::map<std::string, std::string> metadata;
  std::unordered_map<std::string_view, size_t> index;

  explicit Content(Source s) : source(std::move(s)) {
    Bytes bytes = source.bytes;
    auto foreign = [&](const std::string& reason) {
      std::string kind = recognised(bytes);
      source.fail(kind.empty() ? reason : "is no safetensors file: it is " + kind);
    };
    if (bytes.size() < 8) source.fail(weft::str("is no safetensors file: it has only ", bytes.size(), " bytes"));
    uint64_t header_size = 0;
    std::memcpy(&header_size, bytes.data(), 8);
    if (header_size > bytes.size() - 8) {
      std::string reason = weft::str("its header claims ", header_size, " bytes, ", bytes.size() - 8,
                                     " are there: truncated, or no safetensors file");
      if (bytes.size() > 8 && bytes[8] == std::byte{'{'}) source.fail(reason);
      foreign(reason);
    }
    const char* text = reinterpret_cast<const char*>(bytes.data()) + 8;
    if (header_size == 0 || text[0] != '{') foreign("is no safetensors file: its header does not begin with {");
    if (header_size > kMaxHeader)
      source.fail(weft::str("its header of ", header_size, " bytes is larger than ", kMaxHeader));
    // The JSON reader takes a NUL for the end of its text: what stands behind it would not be seen.
    if (std::memchr(text, 0, static_cast<size_t>(header_size))) source.fail("its header holds a NUL byte");

    HeaderReader reader(source, metadata);
    nlohmann::json::sax_parse(text, text + header_size, &reader);
    // The format pads with spaces; JSON would let other blanks pass.
    if (size_t last = std::string_view(text, header_size).find_last_not_of(' '); text[last] != '}')
      source.fail(weft::str("its header has something else than spaces behind its JSON, at its byte ", last));
    data_at = 8 + static_cast<size_t>(header_size);
    entries = std::move(reader.entries);
    check_layout(source, entries, bytes.size() - data_at);
    for (size_t i = 0; i < entries.size(); ++i) {
      const Entry& e = entries[i];
      if (!index.emplace(e.name, i).second) source.fail("two tensors are named '" + printable(e.name) + "'");
      infos.push_back({e.name, *e.shape, e.dtype->text});
    }
  }

  Tensor load(const Entry& e, bool widen) const {
    return read_stored(source, data_at + e.offsets[0], *e.shape, *e.dtype, "tensor '" + printable(e.name) + "' ",
                       widen);
  }
};

SafetensorsFile::SafetensorsFile(const Input& from) : content_(std::make_shared<const Content>(Source::of(from))) {}

const std::vector<TensorInfo>& SafetensorsFile::tensors() const { return content_->infos; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return content_->metadata; }
bool SafetensorsFile::contains(std::string_view name) const { return content_->index.contains(name); }

Tensor SafetensorsFile::load(std::string_view name, const LoadOptions& o) const {
  auto found = content_->index.find(name);
  WEFT_CHECK(found != content_->index.end(), ValueError, content_->source.name, ": has no tensor '", printable(name),
             "'; tensors() lists what it has");
  return content_->load(content_->entries[found->second], o.widen);
}

StateDict SafetensorsFile::load(const LoadOptions& o) const {
  const Content& c = *content_;
  StateDict dict = load_all(c.infos, [&](size_t i) { return c.load(c.entries[i], o.widen); });
  dict.metadata = c.metadata;
  return dict;
}

StateDict load(const Input& from, const LoadOptions& o) { return SafetensorsFile(from).load(o); }

std::vector<Tensor> load_tensors(const Input& from, const LoadOptions& o) {
  const SafetensorsFile file(from);
  const size_t n = file.tensors().size();
  std::vector<Tensor> out;
  for (size_t i = 0; i < n; ++i) {
    const std::string key = std::to_string(i);
    WEFT_CHECK(file.contains(key), ValueError, from.name(), ": holds no list: of its ", n, " tensors none is named '",
               key, "'; io::load gives tensors by name");
    out.push_back(file.load(key, o));
  }
  return out;
}

void load(std::vector<Tensor>& tensors, const Input& from) { tensors = load_tensors(from); }

void load(Tensor& x, const Input& from) {
  std::vector<Tensor> list = load_tensors(from);
  WEFT_CHECK(list.size() == 1, ValueError, from.name(), ": holds a list of ", list.size(), " tensors, not one");
  x = list[0];
}

void save(const std::vector<Tensor>& tensors, const Output& to) {
  StateDict dict;
  for (size_t i = 0; i < tensors.size(); ++i) dict.insert(std::to_string(i), tensors[i]);
  save(dict, to);
}

void save(const Tensor& x, const Output& to) { save(std::vector<Tensor>{x}, to); }

void save(const StateDict& dict, const Output& to) {
  // Wide dtypes first, so that all are aligned without gaps; the header keeps the order of the dict.
  std::vector<const StateDict::Entry*> order;
  for (const auto& e : dict) {
    WEFT_CHECK(e.second.defined(), ValueError, "save: '", e.first, "' is undefined");
    order.push_back(&e);
  }
  refuse_foreign(dict, "save");
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return itemsize(a->second.dtype()) > itemsize(b->second.dtype()); });
  std::map<std::string_view, size_t> offset;
  size_t end = 0;
  for (auto* e : order) {
    offset[e->first] = end;
    end += e->second.nbytes();
  }

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!dict.metadata.empty()) header["__metadata__"] = dict.metadata;
  for (const auto& [name, tensor] : dict) {
    WEFT_CHECK(name != "__metadata__", ValueError, "save: the name __metadata__ is reserved by the format");
    size_t begin = offset[name];
    // ordered_json looks a key up by walking; names are unique here already
    header.get_ref<nlohmann::ordered_json::object_t&>().emplace_back(
        name, nlohmann::ordered_json{{"dtype", traits(tensor.dtype()).safetensors},
                                     {"shape", tensor.shape().vec()},
                                     {"data_offsets", {begin, begin + tensor.nbytes()}}});
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    raise<ValueError>("save: a name or a metadata entry is not UTF-8; ", to.name(), " was not written");
  }
  text.append((kAlignment - (8 + text.size()) % kAlignment) % kAlignment, ' ');
  WEFT_CHECK(text.size() <= kMaxHeader, ValueError, "save: a header of ", text.size(),
             " bytes is larger than the format allows (", kMaxHeader, ")");

  for (auto* e : order) weft::detail::refuse_recorded(e->second, "save");
  Sink file(to);
  uint64_t size = text.size();
  file.write(&size, 8);
  file.write(text.data(), text.size());
  for (auto* e : order) {
    Tensor x = e->second.detach().to(Device()).contiguous();
    file.write(x.raw_data(), x.nbytes());
  }
  file.commit();
}

}  // namespace weft::io
