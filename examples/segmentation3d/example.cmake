find_package(CLI11 REQUIRED)
target_link_libraries(segmentation3d PRIVATE CLI11::CLI11)
# Programs and networks of 5 MB: `cmake --install BUILD --component examples` installs them.
install(TARGETS segmentation3d RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT examples EXCLUDE_FROM_ALL)

# The trained network, which the program finds in share/weft beside its bin folder: a link here, a file in an
# installation.
set(_share "${PROJECT_BINARY_DIR}/share/weft")
set(_model "${CMAKE_CURRENT_LIST_DIR}/models/membranes.safetensors")
file(MAKE_DIRECTORY "${_share}")
file(CREATE_LINK "${_model}" "${_share}/membranes.safetensors" SYMBOLIC)
install(FILES "${_model}" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft"
  COMPONENT examples EXCLUDE_FROM_ALL OPTIONAL)

if(WEFT_TESTS)
  # The network against PyTorch's, its file, tiles and blocks of volumes.
  find_package(doctest 2.4 REQUIRED)
  set(_parts unet tiles stack cells drawing evaluate)
  list(TRANSFORM _parts PREPEND "${CMAKE_CURRENT_LIST_DIR}/")
  list(TRANSFORM _parts APPEND ".cpp")
  weft_add_program(segmentation3d_test "${PROJECT_SOURCE_DIR}/tests/examples/unet3d_test.cpp" ${_parts})
  target_link_libraries(segmentation3d_test PRIVATE doctest::doctest)
  add_test(NAME "examples: unet3d" COMMAND segmentation3d_test)
  set_tests_properties("examples: unet3d" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 300
    ENVIRONMENT "OMP_NUM_THREADS=2;WEFT_UNET3D_GOLDEN=${PROJECT_SOURCE_DIR}/tests/examples/unet3d_golden.npz")
endif()

# The example at a small size, on a volume that it draws itself.
if(WEFT_TESTS AND WEFT_IMAGE)
  add_test(NAME "examples: segmentation3d"
    COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:segmentation3d> -DWORK=${PROJECT_BINARY_DIR}/segmentation3d_test
      -P "${CMAKE_CURRENT_LIST_DIR}/test.cmake")
  set_tests_properties("examples: segmentation3d" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
endif()
