// expect: leash: a number is no argument: write std::to_string(number). (A list has no NULL at its end.)
// expect: leash: args() takes a list or a vector: write leash::args({"ls", "-l"}).
// expect: leash: the parameters of a script are a list: write leash::shell(script, {"first", "second"}).
// expect: leash: a command is a list: write leash::Popen p({"ls", "-l"}).
// expect: leash: a command is a list: write leash::run({"ls", "-l"}).
// expect: leash: a command is a list: write leash::try_run({"ls", "-l"}).
// expect: leash: a command is a list: write leash::try_capture({"ls", "-l"}).
// expect: leash: a command is a list: write leash::capture({"ls", "-l"}).
// expect: leash: a command is a list: write leash::check_output({"ls", "-l"}).
// expect: leash: wait() has no end of its own: write wait_for(5s).
// expect: leash: kill() is SIGKILL: write send_signal(SIGINT) for another one.
// expect: leash: a status is no number: write status.success(), or status.code() == 0.
// expect: leash: a time has a unit: write 5s (with <chrono> and using namespace std::chrono_literals), or leash::Duration::seconds(5).
#include <leash/leash.hpp>

#include <csignal>

int main() {
    static_cast<void>(leash::args({"seq", 3}));
    static_cast<void>(leash::args("ls", "-l"));
    static_cast<void>(leash::shell("wc -l \"$1\"", "name"));
    leash::Popen p{"ls", "-l"};
    static_cast<void>(leash::run("ls", "-l"));
    static_cast<void>(leash::try_run("ls", std::string("-l")));
    static_cast<void>(leash::try_capture("ls", "-l"));
    static_cast<void>(leash::capture("ls", "-l", "-a"));
    static_cast<void>(leash::check_output("ls", "-l"));
    static_cast<void>(p.wait() == 0);
    static_cast<void>(p.wait(5));
    static_cast<void>(p.kill(SIGINT));
    leash::Options options;
    options.timeout = 5;
}
