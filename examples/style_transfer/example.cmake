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

weft_test_parts(style_transfer msgnet TESTS msgnet_test.cpp PARTS msgnet.cpp msgnet_apply.cpp)
if(WEFT_IMAGE)
  weft_test_program(style_transfer style_transfer)
endif()
