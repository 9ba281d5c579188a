// expect: leash: a delimiter is a string: write read_until("\n").
// expect: leash: a delimiter is a string: write read_until("\n", most, timeout).
#include <leash/leash.hpp>

int main() {
    leash::Popen p;
    static_cast<void>(p.out().read_until('\n'));
    static_cast<void>(p.out().read_until('\n', 80, {}));
}
