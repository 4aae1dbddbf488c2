# A stranger's project finds, builds against and runs an installation that was moved after it was made.
if(NOT WEFT_SANITIZE)
  add_test(NAME "install: a stranger's project"
    COMMAND bash "${CMAKE_CURRENT_SOURCE_DIR}/install/run.sh" "${PROJECT_BINARY_DIR}" "${CMAKE_CXX_COMPILER}")
  add_test(NAME "install: sizes" COMMAND bash "${PROJECT_SOURCE_DIR}/scripts/sizes.sh" "${PROJECT_BINARY_DIR}")
  set_tests_properties("install: a stranger's project" "install: sizes" PROPERTIES LABELS slow TIMEOUT 300)
endif()
