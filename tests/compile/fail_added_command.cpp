// expect: leash: a command is no job: write add(leash::Popen({"ls"}, options)).
// expect: leash: a command is no job: write add(leash::Popen(command, options)).
#include <leash/leash.hpp>

int main() {
    leash::Supervisor jobs;
    static_cast<void>(jobs.add({"ls"}, {}));
    static_cast<void>(jobs.add(leash::args({"ls"})));
}
