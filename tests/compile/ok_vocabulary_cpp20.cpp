// tests/compile/ok_vocabulary_cpp20.cpp - the public names as the README writes them. Compiled, not run.
#include <leash/leash.hpp>

#include <chrono>

using namespace std::chrono_literals;

namespace {

void use(std::string_view) {}
void log(std::string_view, bool, std::string_view) {}

void vocabulary(const std::string& name, int listen_fd, std::chrono::steady_clock::time_point tp) {
    leash::Result r = leash::run({"git", "log", "-1"}, {.out = leash::piped, .err = leash::piped, .timeout = 5s});
    if (r.ok()) use(r.out);
    else log(r.status.describe(), r.timed_out, r.err);

    leash::run(leash::shell("grep -c -- \"$1\" /etc/passwd", {name}), {.out = leash::piped}).check_ok();

    leash::Popen p(leash::shell("tail -F app.log | grep ERROR"), {.out = leash::piped});
    for (std::string_view line : p.out().lines()) {
        use(line);
    }
    p.pid();
    static_cast<void>(p.poll());
    p.wait();
    static_cast<void>(p.wait_for(1s));
    static_cast<void>(p.wait_until(tp));
    p.send_signal(SIGUSR1);
    p.terminate();
    p.kill();
    p.stop(2s);
    leash::Captured c = p.communicate("input", 5s);
    p.detach();
    p.exit_handle();

    leash::check_output({"uname", "-r"});
    static_cast<void>(leash::args(std::vector<std::string>{"ls", "-l"}));
    static_cast<void>(leash::shell_quote("it's"));

    leash::Expected<leash::Result> e = leash::try_run({"true"});
    leash::Expected<leash::Popen> q = leash::Popen::try_spawn({"true"});

    // every field by name, in the order that is fixed
    const leash::Cancel stop;
    const leash::Options all = {.in = leash::bytes("…"),
                                .out = leash::sink([](std::string_view chunk) { use(chunk); }),
                                .err = leash::to_out,
                                .terminal = {.rows = 24, .columns = 80, .echo = true},
                                .cwd = "/srv",
                                .env = leash::Env::inherited().set("A", "1").unset("B"),
                                .executable = "/bin/busybox",
                                .pass_fds = {{listen_fd, 3}},
                                .jobserver = leash::Jobserver::serve(4),
                                .umask = 022,
                                .nice = 5,
                                .limits = {.address_space = 1 << 30,
                                           .cpu_time = 60s,
                                           .file_size = 1 << 20,
                                           .open_files = 256,
                                           .processes = 100,
                                           .core_size = 0},
                                .group = leash::Group::own,
                                .reach = leash::Reach::tree,
                                .stragglers = leash::Stragglers::kill,
                                .die_with_parent = true,
                                .timeout = 5s,
                                .idle_timeout = 30s,
                                .grace = 1s,
                                .drain = 200ms,
                                .cancel = stop,
                                .max_output = 1 << 20,
                                .keep = leash::Keep::tail,
                                .all = true};
    leash::run({"true"}, all).check_ok();

    const leash::Env narrow =
        leash::Env::inherited().only({"PATH", "LC_*"}).without(std::vector<std::string>{"*_TOKEN"});
    for (const leash::Env::Variable& one : narrow.variables()) use(one.name + one.value);
    for (const leash::Env::Change& one : narrow.changes()) use(one.name);
    static_cast<void>(narrow.is_unchanged() || narrow.is_inherited());
    const std::vector<std::string> list = {"A=1"};
    leash::Env given = leash::Env::from(list);
    given = leash::Env::from({"A=1", "B=2"});
    given.set("A", "1").unset("B").only({"A"}).without({"B"});
    static_cast<void>(leash::which("ls") || leash::which("ls", given) || given.get("A"));
    use(leash::chomp(leash::args({"ls", "-l"}).str()));
    const char* const words[] = {"ls", "-l", nullptr};
    given = leash::Env::from(words);
    static_cast<void>(leash::args(2, words));

    // each alternative, alone
    leash::run({"true"}, {.in = leash::null}).check_ok();
    leash::run({"true"}, {.in = leash::inherit}).check_ok();
    leash::run({"true"}, {.in = leash::piped}).check_ok();
    leash::run({"true"}, {.in = leash::bytes("…")}).check_ok();
    leash::run({"true"}, {.in = leash::file("in.txt")}).check_ok();
    leash::run({"true"}, {.in = leash::fd(7)}).check_ok();
    leash::run({"true"}, {.out = leash::inherit}).check_ok();
    leash::run({"true"}, {.out = leash::null}).check_ok();
    leash::run({"true"}, {.out = leash::piped}).check_ok();
    leash::run({"true"}, {.out = leash::file("log", leash::append)}).check_ok();
    leash::run({"true"}, {.out = leash::fd(7)}).check_ok();
    leash::run({"true"}, {.err = leash::inherit}).check_ok();
    leash::run({"true"}, {.err = leash::null}).check_ok();
    leash::run({"true"}, {.err = leash::piped}).check_ok();
    leash::run({"true"}, {.err = leash::file("log", leash::append)}).check_ok();
    leash::run({"true"}, {.err = leash::fd(7)}).check_ok();
    leash::run({"true"}, {.err = leash::sink([](std::string_view chunk) { use(chunk); })}).check_ok();
    leash::run({"true"}, {.err = leash::to_out}).check_ok();
    leash::run({"true"}, {.env = leash::Env::empty().set("A", "1")}).check_ok();
    leash::run({"true"}, {.group = leash::Group::inherited}).check_ok();
    leash::run({"true"}, {.group = leash::Group::session}).check_ok();
    leash::run({"true"}, {.stragglers = leash::Stragglers::leave}).check_ok();
    leash::run({"vi"}, leash::Options::interactive()).check_ok();
    static_cast<void>(c);
    static_cast<void>(e);
    static_cast<void>(q);
}

}  // namespace

int main() { vocabulary("root", 5, std::chrono::steady_clock::now()); }
