// A JSON document as plain data, so that only value.cpp needs the JSON library.
// Knows nothing of weft.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace golden {

/// A value that the argument it is for cannot have in C++: of another kind, or a list of another length.
struct Misfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One JSON value. Reading it as another kind than it has is a Misfit that shows it.
class Value {
 public:
  enum class Kind { null, boolean, integer, number, string, list, object };

  Kind kind = Kind::null;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
  std::string string;
  std::vector<Value> list;
  struct Member;
  std::vector<Member> members;  // of an object, in the file's order

  bool is_null() const { return kind == Kind::null; }
  bool is_string() const { return kind == Kind::string; }
  bool is_list() const { return kind == Kind::list; }
  bool is_object() const { return kind == Kind::object; }
  bool is_boolean() const { return kind == Kind::boolean; }
  bool is_integer() const { return kind == Kind::integer; }
  bool is_number() const { return kind == Kind::number || kind == Kind::integer; }

  /// A member of an object; a null value if there is none.
  const Value& operator[](const std::string& name) const;
  bool has(const std::string& name) const { return !(*this)[name].is_null(); }

  int64_t as_int() const;
  double as_double() const;  ///< also of "inf", "-inf", "nan"
  bool as_bool() const;
  const std::string& as_string() const;
  /// A list of integers; one integer counts as a list of one.
  std::vector<int64_t> as_ints() const;
  std::string text() const;  ///< for messages
};

struct Value::Member {
  std::string first;
  Value second;
};

/// Parses a file; std::runtime_error that names it otherwise.
Value parse_file(const std::string& path);

}  // namespace golden
