# The code of docs/guide, as it stands there: a program of all pages, and a test for each.
if(WEFT_IMAGE AND NOT WEFT_SANITIZE STREQUAL "thread")
  set(_docs "${CMAKE_CURRENT_LIST_DIR}")
  file(GLOB _pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/guide/*.md")
  set(_sources "${_docs}/main.cpp")
  foreach(page IN LISTS _pages)
    cmake_path(GET page STEM _name)
    add_custom_command(OUTPUT guide_${_name}.cpp
      COMMAND "${WEFT_PYTHON}" "${_docs}/guide.py" "${page}" guide_${_name}.cpp DEPENDS "${page}" "${_docs}/guide.py")
    list(APPEND _sources guide_${_name}.cpp)
    add_test(NAME "docs: guide, ${_name}" COMMAND weft_guide ${_name})
    set_tests_properties("docs: guide, ${_name}" PROPERTIES LABELS docs TIMEOUT 120 ENVIRONMENT "OMP_NUM_THREADS=2")
  endforeach()
  add_executable(weft_guide ${_sources})
  target_include_directories(weft_guide PRIVATE "${_docs}")
  target_compile_options(weft_guide PRIVATE ${WEFT_TEST_OPT})
  target_link_libraries(weft_guide PRIVATE weft weft_flags)
  set_target_properties(weft_guide PROPERTIES UNITY_BUILD ${WEFT_UNITY} UNITY_BUILD_BATCH_SIZE 4)
endif()

add_test(NAME "docs: links" COMMAND "${WEFT_PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/links.py" "${PROJECT_SOURCE_DIR}")
set_tests_properties("docs: links" PROPERTIES LABELS docs)

# The right column of docs/from-pytorch.md: a program of all rows, and a test for each section. The target
# weft_from_pytorch_each lists all rows that do not compile.
if(WEFT_IMAGE AND NOT WEFT_SANITIZE STREQUAL "thread")
  set(_page "${PROJECT_SOURCE_DIR}/docs/from-pytorch.md")
  set(_script "${_docs}/from_pytorch.py")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_page}")
  file(STRINGS "${_page}" _headings REGEX "^## ")
  set(_sources "${_docs}/main.cpp")
  foreach(heading IN LISTS _headings)
    string(TOLOWER "${heading}" _name)
    string(REGEX REPLACE "[^a-z0-9]+" "_" _name "${_name}")
    string(REGEX REPLACE "^_|_$" "" _name "${_name}")
    if(_name MATCHES "linear_algebra" AND NOT WEFT_BLAS)
      continue()      # linalg says NotSupported
    endif()
    add_custom_command(OUTPUT from_pytorch_${_name}.cpp
      COMMAND "${WEFT_PYTHON}" "${_script}" "${_page}" ${_name} from_pytorch_${_name}.cpp
      DEPENDS "${_page}" "${_script}")
    list(APPEND _sources from_pytorch_${_name}.cpp)
    add_test(NAME "docs: from-pytorch, ${_name}" COMMAND weft_from_pytorch ${_name})
    set_tests_properties("docs: from-pytorch, ${_name}" PROPERTIES LABELS docs TIMEOUT 120
      ENVIRONMENT "OMP_NUM_THREADS=2")
  endforeach()
  add_executable(weft_from_pytorch ${_sources})
  target_include_directories(weft_from_pytorch PRIVATE "${_docs}")
  target_compile_options(weft_from_pytorch PRIVATE ${WEFT_TEST_OPT} -Wno-shadow)
  target_link_libraries(weft_from_pytorch PRIVATE weft weft_flags)
  set_target_properties(weft_from_pytorch PROPERTIES UNITY_BUILD ${WEFT_UNITY} UNITY_BUILD_BATCH_SIZE 4)

  add_custom_target(weft_from_pytorch_each USES_TERMINAL
    COMMAND "${WEFT_PYTHON}" "${_script}" "${_page}" --each "${CMAKE_CXX_COMPILER}" -I "${WEFT_INCLUDE_DIR}")
endif()
