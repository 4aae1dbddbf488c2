# Rules of the project that are checked by reading it.
find_program(WEFT_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(NOT WEFT_PYTHON)
  find_program(WEFT_PYTHON python3 REQUIRED)
endif()
add_test(NAME "rules: includes" COMMAND "${WEFT_PYTHON}" "${PROJECT_SOURCE_DIR}/scripts/check_includes.py")
add_test(NAME "rules: includes, seeded breaches"
  COMMAND "${WEFT_PYTHON}" "${PROJECT_SOURCE_DIR}/scripts/check_includes.py" --self-test)
add_test(NAME "rules: stack frames of kernels, seeded breaches"
  COMMAND "${WEFT_PYTHON}" "${PROJECT_SOURCE_DIR}/scripts/check_kernels.py" --self-test)
set_tests_properties("rules: includes" "rules: includes, seeded breaches"
  "rules: stack frames of kernels, seeded breaches" PROPERTIES LABELS rules)
if(TARGET weft_cuda)
  get_target_property(_folder weft_cuda BINARY_DIR)
  add_test(NAME "kernels: stack frames, spills, none twice"
    COMMAND "${WEFT_PYTHON}" "${PROJECT_SOURCE_DIR}/scripts/check_kernels.py" "${_folder}")
  set_tests_properties("kernels: stack frames, spills, none twice" PROPERTIES LABELS kernels)
endif()

# Only optimised builds: sanitizers add weak symbols of their own, and -O0 inlines nothing.
set(_objects "")
foreach(isa IN LISTS WEFT_ISAS)
  if(TARGET weft_simd_${isa})
    list(APPEND _objects "$<TARGET_OBJECTS:weft_simd_${isa}>")
  endif()
endforeach()
if(_objects AND CMAKE_BUILD_TYPE MATCHES "^Rel" AND NOT WEFT_SANITIZE)
  add_test(NAME "rules: weak symbols of the kernels"
    COMMAND "${WEFT_PYTHON}" "${PROJECT_SOURCE_DIR}/scripts/check_isa_symbols.py" "${CMAKE_NM}" ${_objects}
    COMMAND_EXPAND_LISTS)
  set_tests_properties("rules: weak symbols of the kernels" PROPERTIES LABELS rules)
endif()
