// expect: leash: a stream has a name: write run(command, {.out = leash::piped}).
// expect: leash: a stream has a name: write try_run(command, {.out = leash::piped}).
// expect: leash: a stream has a name: write leash::Popen p(command, {.out = leash::piped}).
#include <leash/leash.hpp>

int main() {
    static_cast<void>(leash::run({"ls"}, leash::piped));
    static_cast<void>(leash::try_run(leash::args({"ls"}), leash::tty));
    leash::Popen p({"ls"}, leash::piped);
}
