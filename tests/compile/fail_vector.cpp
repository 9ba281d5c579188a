// expect: a vector is not a command by itself
#include <leash/leash.hpp>

int main() {
    const std::vector<std::string> command{"ls", "-l"};
    leash::run(command);
}
