# What must not compile, and with which words; case 0 is what must.
set(_refused "${CMAKE_CXX_COMPILER}" -std=c++20 -fsyntax-only -I "${PROJECT_BINARY_DIR}/include"
  "${CMAKE_CURRENT_LIST_DIR}/refused/plain_handle.cpp")
add_test(NAME "nn: handles of parameters that compile" COMMAND ${_refused} -DCASE=0)
set_tests_properties("nn: handles of parameters that compile" PROPERTIES LABELS nn)
foreach(case RANGE 1 10)
  add_test(NAME "nn: refused handle, case ${case}" COMMAND ${_refused} -DCASE=${case})
  set_tests_properties("nn: refused handle, case ${case}" PROPERTIES LABELS nn
    PASS_REGULAR_EXPRESSION "does not follow nn::clone: declare a member|is not assigned a Tensor: copy_|an option stays the layer's: |puts a layer into net|no match for |no viable overloaded")
endforeach()
