// tests/fuzz/replay.cpp - a fuzz target without libFuzzer, with any compiler: it is given the files, and those of the
// folders, that are named. So each corpus is a test of every build.
#include "fuzz.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

int main(int count, char** values) {
    namespace fs = std::filesystem;
    std::vector<fs::path> files;
    for (int i = 1; i < count; ++i) {
        if (!fs::is_directory(values[i])) {
            files.emplace_back(values[i]);
            continue;
        }
        for (const fs::directory_entry& entry : fs::directory_iterator(values[i])) files.push_back(entry.path());
    }
    for (const fs::path& file : files) {
        std::ifstream stream(file, std::ios::binary);
        const std::vector<char> text{std::istreambuf_iterator<char>(stream), {}};
        const std::vector<std::uint8_t> bytes(text.begin(), text.end());
        std::printf("%s\n", file.c_str());
        std::fflush(stdout);  // should it abort, the last line is the culprit
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    std::printf("%zu inputs\n", files.size());
    return files.empty() ? 1 : 0;
}
