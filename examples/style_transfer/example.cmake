find_package(CLI11 REQUIRED)
target_link_libraries(style_transfer PRIVATE CLI11::CLI11)
install(TARGETS style_transfer RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

# What the program finds by itself, in share/weft beside its bin folder: links here, files in an installation. VGG16's weights are
# there once scripts/assets.py has fetched them.
set(_share "${PROJECT_BINARY_DIR}/share/weft")
file(MAKE_DIRECTORY "${_share}")
foreach(file IN ITEMS examples/style_transfer/models/patterns.safetensors examples/style_transfer/photos/astronaut.jpg
                      scripts/assets.py .demo/vgg16_relu3_3.safetensors)
  cmake_path(GET file FILENAME _name)
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${file}" "${_share}/${_name}" SYMBOLIC)
  if(_name STREQUAL "assets.py")
    install(PROGRAMS "${PROJECT_SOURCE_DIR}/${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft")
  else()
    install(FILES "${PROJECT_SOURCE_DIR}/${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft" OPTIONAL)
  endif()
endforeach()

if(WEFT_TESTS)
  # The network against PyTorch's, its file, tiles.
  find_package(doctest 2.4 REQUIRED)
  weft_add_program(style_transfer_test "${PROJECT_SOURCE_DIR}/tests/examples/msgnet_test.cpp"
    "${CMAKE_CURRENT_LIST_DIR}/msgnet.cpp" "${CMAKE_CURRENT_LIST_DIR}/msgnet_apply.cpp")
  target_link_libraries(style_transfer_test PRIVATE doctest::doctest)
  add_test(NAME "examples: msgnet" COMMAND style_transfer_test)
  set_tests_properties("examples: msgnet" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 300
    ENVIRONMENT "OMP_NUM_THREADS=2;WEFT_MSGNET_GOLDEN=${PROJECT_SOURCE_DIR}/tests/examples/msgnet_golden.npz")
endif()

# The example at a small size, with features that it makes itself.
if(WEFT_TESTS AND WEFT_IMAGE)
  add_test(NAME "examples: style_transfer"
    COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:style_transfer> -DWORK=${PROJECT_BINARY_DIR}/style_transfer_test
      -DMODELS=${CMAKE_CURRENT_LIST_DIR}/models -P "${CMAKE_CURRENT_LIST_DIR}/test.cmake")
  set_tests_properties("examples: style_transfer" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
endif()
