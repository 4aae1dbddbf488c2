# The code of docs/guide.md, as it stands there.
if(WEFT_IMAGE AND NOT WEFT_SANITIZE STREQUAL "thread")
  set(_page "${PROJECT_SOURCE_DIR}/docs/guide.md")
  add_custom_command(OUTPUT guide.cpp COMMAND "${WEFT_PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/guide.py" "${_page}" guide.cpp
    DEPENDS "${_page}" "${CMAKE_CURRENT_LIST_DIR}/guide.py")
  add_executable(weft_guide guide.cpp)
  target_compile_options(weft_guide PRIVATE ${WEFT_TEST_OPT})
  target_link_libraries(weft_guide PRIVATE weft weft_flags)
  add_test(NAME "docs: the guide's code runs" COMMAND weft_guide)
  set_tests_properties("docs: the guide's code runs" PROPERTIES LABELS docs TIMEOUT 120 ENVIRONMENT "OMP_NUM_THREADS=2"
    PASS_REGULAR_EXPRESSION "resumed bit for bit.*accuracy 0\\.9.*expects 3")
endif()
