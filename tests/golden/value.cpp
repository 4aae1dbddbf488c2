#include "golden/value.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

namespace golden {
namespace {

// Keeps the order of the file: parameters are given to optimisers in it.
using Json = nlohmann::ordered_json;

Value convert(const Json& j) {
  Value v;
  switch (j.type()) {
    case Json::value_t::boolean:
      v.kind = Value::Kind::boolean;
      v.boolean = j.get<bool>();
      break;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      v.kind = Value::Kind::integer;
      v.integer = j.get<int64_t>();
      v.number = j.get<double>();
      break;
    case Json::value_t::number_float:
      v.kind = Value::Kind::number;
      v.number = j.get<double>();
      break;
    case Json::value_t::string:
      v.kind = Value::Kind::string;
      v.string = j.get<std::string>();
      break;
    case Json::value_t::array:
      v.kind = Value::Kind::list;
      for (const Json& e : j) v.list.push_back(convert(e));
      break;
    case Json::value_t::object:
      v.kind = Value::Kind::object;
      for (const auto& [name, e] : j.items()) v.members.push_back({name, convert(e)});
      break;
    default: break;
  }
  return v;
}

[[noreturn]] void wrong(const Value& v, const char* expected) {
  throw Misfit("expected " + std::string(expected) + ", got " + v.text());
}

}  // namespace

const Value& Value::operator[](const std::string& name) const {
  static const Value none;
  for (const auto& [key, value] : members)
    if (key == name) return value;
  return none;
}

int64_t Value::as_int() const {
  if (kind == Kind::integer) return integer;
  if (kind == Kind::number && number == std::floor(number) && std::abs(number) < 0x1p62)
    return static_cast<int64_t>(number);
  if (kind == Kind::boolean) return boolean;
  wrong(*this, "an integer");
}

double Value::as_double() const {
  if (is_number()) return number;
  if (kind == Kind::boolean) return boolean;
  if (string == "inf") return std::numeric_limits<double>::infinity();
  if (string == "-inf") return -std::numeric_limits<double>::infinity();
  if (string == "nan") return std::numeric_limits<double>::quiet_NaN();
  wrong(*this, "a number");
}

bool Value::as_bool() const {
  if (kind == Kind::boolean) return boolean;
  if (kind == Kind::integer) return integer != 0;
  wrong(*this, "a boolean");
}

const std::string& Value::as_string() const {
  if (kind != Kind::string) wrong(*this, "a string");
  return string;
}

std::vector<int64_t> Value::as_ints() const {
  if (kind != Kind::list) return {as_int()};
  std::vector<int64_t> v;
  for (const Value& e : list) v.push_back(e.as_int());
  return v;
}

std::string Value::text() const {
  switch (kind) {
    case Kind::null: return "null";
    case Kind::boolean: return boolean ? "true" : "false";
    case Kind::integer: return std::to_string(integer);
    case Kind::number: return Json(number).dump();
    case Kind::string: return '"' + string + '"';
    case Kind::list: {
      std::string s = "[";
      for (const Value& e : list) s += (s.size() > 1 ? ", " : "") + e.text();
      return s + "]";
    }
    case Kind::object: {
      std::string s = "{";
      for (const auto& [name, e] : members) s += (s.size() > 1 ? ", " : "") + name + ": " + e.text();
      return s + "}";
    }
  }
  return "?";
}

Value parse_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  try {
    return convert(Json::parse(file));
  } catch (const Json::exception& e) { throw std::runtime_error(path + ": " + e.what()); }
}

}  // namespace golden
