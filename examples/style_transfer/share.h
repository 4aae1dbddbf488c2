// Files that come with the program: the model, a photo, VGG16's weights.
// Knows no network.
#pragma once

#include <string>

/// `path` if there is such a file or folder; else the file of that name among what comes with the program (share/weft
/// beside its bin folder, then .demo in the current one), which is told in a line where `path` named a folder; else
/// `path` again, for the reader to complain about.
std::string shipped(const std::string& path);

/// VGG16's weights, as `shipped` finds them. IoError, with the command that fetches them, where they are not.
std::string vgg_weights();
