// Translates the lines of standard input: translate MODEL.heed < lines
#include <heed/translate.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: " << argv[0] << " MODEL.heed\n", 2;
  try {
    const heed::Device device;
    heed::TranslationModel model(device, argv[1]);
    std::vector<std::string> lines;
    for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
    heed::TranslationOptions options;
    options.beams = 4;
    for (const std::vector<heed::Translation>& best : model.translate(lines, options)) {
      std::cout << best.front().text << '\n';
    }
  } catch (const heed::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
