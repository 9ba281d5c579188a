// expect: a bare string is not a command
#include <leash/leash.hpp>

int main() {
    const char command[] = "ls -l";
    leash::Options options;
    options.out = leash::piped;
    static_cast<void>(leash::run(command, options));
}
