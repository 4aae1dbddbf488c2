find_package(CLI11 REQUIRED)
target_link_libraries(segmentation PRIVATE CLI11::CLI11)
# Programs and networks of 5 MB: `cmake --install BUILD --component examples` installs them.
install(TARGETS segmentation RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT examples EXCLUDE_FROM_ALL)

# The trained network, which the program finds by itself in share/weft beside its bin folder.
set(_share "${PROJECT_BINARY_DIR}/share/weft")
file(MAKE_DIRECTORY "${_share}")
file(CREATE_LINK "${CMAKE_CURRENT_LIST_DIR}/models/segmentation.safetensors" "${_share}/segmentation.safetensors" SYMBOLIC)
install(FILES "${CMAKE_CURRENT_LIST_DIR}/models/segmentation.safetensors" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft"
  COMPONENT examples EXCLUDE_FROM_ALL)

if(WEFT_TESTS)
  # The network against PyTorch's; scenes, batches, files.
  find_package(doctest 2.4 REQUIRED)
  set(_parts encnet encnet_lite batches classes model_file scenes scene_things)
  list(TRANSFORM _parts REPLACE "(.+)" "${CMAKE_CURRENT_LIST_DIR}/\\1.cpp")
  weft_add_program(segmentation_test "${PROJECT_SOURCE_DIR}/tests/examples/encnet_test.cpp"
    "${PROJECT_SOURCE_DIR}/tests/examples/segmentation_test.cpp" ${_parts})
  target_link_libraries(segmentation_test PRIVATE doctest::doctest)
  add_test(NAME "examples: segmentation parts" COMMAND segmentation_test)
  set_tests_properties("examples: segmentation parts" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 300
    ENVIRONMENT "OMP_NUM_THREADS=2;WEFT_GOLDEN_EXAMPLES=${PROJECT_SOURCE_DIR}/tests/examples")
endif()

# The program at a tiny size, on streets that it draws itself.
if(WEFT_TESTS AND WEFT_IMAGE)
  add_test(NAME "examples: segmentation"
    COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:segmentation> -DWORK=${PROJECT_BINARY_DIR}/segmentation_test
      -DMODELS=${CMAKE_CURRENT_LIST_DIR}/models -P "${CMAKE_CURRENT_LIST_DIR}/test.cmake")
  set_tests_properties("examples: segmentation" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
endif()
