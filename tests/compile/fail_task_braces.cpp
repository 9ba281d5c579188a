// expect: leash: a task has braces, and its command has its own: write {{"ls", "-l"}}, or {{"ls", "-l"}, options}
#include <leash/leash.hpp>

int main() {
    std::vector<leash::Task> tasks;
    tasks.push_back({"ls", "-l"});
    static_cast<void>(leash::run_all({{"ls"}, {"pwd"}}));
}
