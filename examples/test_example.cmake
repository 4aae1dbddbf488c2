# cmake -DPROGRAM=... -DSOURCE=main.cpp -DLOW=... -DHIGH=... -P test_example.cmake
# Runs an example and compares its last line with the one that the head of its source promises.
execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE rc OUTPUT_VARIABLE out ERROR_VARIABLE err)
message("${out}${err}")
if(NOT rc EQUAL 0)
  message(FATAL_ERROR "exit status ${rc}")
endif()

# A line in three parts: before its last number, the number, behind it.
set(parts "^(.*[^0-9.]|)([0-9.]+)([^0-9]*)$")
file(READ "${SOURCE}" source)
if(NOT source MATCHES "as its last line\n// +([^\n]+)\n")
  message(FATAL_ERROR "${SOURCE}: the head names no last line")
endif()
set(promise "${CMAKE_MATCH_1}")
string(REGEX MATCH "([^\n]*)\n?$" last "${out}")
set(last "${CMAKE_MATCH_1}")

string(REGEX REPLACE "${parts}" "\\1#\\3" promised_words "${promise}")
string(REGEX REPLACE "${parts}" "\\1#\\3" words "${last}")
if(NOT words STREQUAL promised_words)
  message(FATAL_ERROR "the last line is\n${last}\nand the head promises\n${promise}")
endif()
foreach(line IN ITEMS promise last)
  string(REGEX REPLACE "${parts}" "\\2" number "${${line}}")
  if(number LESS LOW OR number GREATER HIGH)
    message(FATAL_ERROR "${number} is not within ${LOW} and ${HIGH}: ${${line}}")
  endif()
endforeach()
