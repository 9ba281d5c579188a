// tests/compile/ok_vocabulary_cpp17.cpp - every public name, as C++17 writes it. Compiled, not run.
#include <leash/leash.hpp>

#include <chrono>
#include <filesystem>

using namespace std::chrono_literals;

namespace {

void use(std::string_view) {}
void log(std::string_view, bool, std::string_view) {}

void argv() {
    leash::Options options;
    options.out = leash::piped;
    options.err = leash::piped;
    options.timeout = 5s;
    leash::Result r = leash::run({"git", "log", "-1"}, options);
    if (r.ok()) use(r.out);
    else log(r.status.describe(), r.timed_out, r.err);
    static_cast<void>(r.cancelled || !r.survivors.empty() || !r.held.empty() || r.out_truncated || r.err_truncated ||
                      r.unwritten != 0);
    static_cast<void>(r.usage.user + r.usage.system);
    const std::optional<std::uint64_t> peak = r.usage.peak_memory;
    static_cast<void>(peak);
}

void shell(const std::string& name) {
    leash::Options options;
    options.out = leash::piped;
    leash::run(leash::shell("grep -c -- \"$1\" /etc/passwd", {name}), options).check_ok();
    leash::run(leash::shell("echo \"$@\"", std::vector<std::string>{"a", "b"})).check_ok();
    leash::run(leash::shell("true")).check_ok();
}

void popen(std::chrono::steady_clock::time_point steady, std::chrono::system_clock::time_point system) {
    leash::Options options;
    options.in = leash::piped;
    options.out = leash::piped;
    options.err = leash::piped;
    leash::Popen p(leash::shell("tail -F app.log | grep ERROR"), options);
    for (std::string_view line : p.out().lines()) use(line);
    for (std::string_view line : p.err().lines(1s)) use(line);
    static_cast<void>(p.pid());
    std::optional<leash::ExitStatus> polled = p.poll();
    leash::ExitStatus status = p.wait();
    polled = p.wait_for(1s);
    polled = p.wait_until(steady);
    polled = p.wait_until(system);
    p.send_signal(SIGUSR1);
    p.terminate();
    p.kill();
    status = p.stop(2s);
    status = p.stop();
    leash::Captured c = p.communicate("input", 5s);
    use(c.out);
    use(c.err);
    static_cast<void>(c.timed_out || !c.held.empty());
    polled = c.status;
    c = p.communicate();

    leash::Read read = p.out().read(100, 1s);
    read = p.out().read_until("> ", 1s);
    read = p.err().read_all();
    if (read) use(read.data);
    static_cast<void>(read.eof || read.timed_out || read.error);
    leash::Written written = p.in().write("text\n", 1s);
    static_cast<void>(written.count);
    static_cast<void>(written.complete || written.timed_out || written.error);
    read = p.out().try_read();
    written = p.in().try_write("text");
    p.in().close();
    p.out().close();
    static_cast<void>(p.in().is_open() || p.out().is_open() || p.in().handle() == p.out().handle());

    leash::Popen other(std::move(p));
    p = std::move(other);
    static_cast<void>(p.timed_out() || p.cancelled() || !p.survivors().empty());
    const leash::Usage usage = p.usage();
    static_cast<void>(usage);
    static_cast<void>(p.exit_handle());
    static_cast<void>(p.detach());
    static_cast<void>(status);
}

void status(leash::ExitStatus s) {
    static_cast<void>(s.exited() || s.signaled() || s.unknown() || s.success() || s.core_dumped());
    static_cast<void>(s.code() == s.signal());
    static_cast<void>(s == leash::ExitStatus::from_code(3) || s != leash::ExitStatus::from_signal(SIGKILL));
    constexpr leash::ExitStatus nobody_knows;
    static_assert(nobody_knows.unknown());
    use(s.describe());
}

void commands() {
    std::string text = leash::check_output({"uname", "-r"});
    leash::run(leash::args(std::vector<std::string>{"ls", "-l"})).check_ok();
    leash::run(leash::args({"ls", "-l"})).check_ok();
    const std::string string = "-l";
    const std::string_view view = "-l";
    const std::filesystem::path path = "/tmp";
    leash::run({"ls", string, view, path, text.c_str()}).check_ok();
    leash::Pipeline pipeline = leash::args({"ls", "-l"}) | leash::shell("grep x");
    leash::run(pipeline | leash::args({"wc", "-l"})).check_ok();
    leash::Popen job(pipeline);
    static_cast<void>(leash::try_run(leash::args({"ls"}) | leash::args({"wc"})));
    static_cast<void>(leash::Popen::try_spawn(leash::args({"ls"}) | leash::args({"wc"})));
    const leash::Command command = {"ls", "-l"};
    leash::run(command).check_ok();
    use(command.argv().front());
    use(leash::shell_quote("it's"));
}

void streams() {
    leash::Options o;
    o.in = leash::null;
    o.in = leash::inherit;
    o.in = leash::piped;
    o.in = leash::bytes("…");
    o.in = leash::file("in.txt");
    o.in = leash::fd(7);
    o.out = leash::inherit;
    o.out = leash::null;
    o.out = leash::piped;
    o.out = leash::file("log", leash::append);
    o.out = leash::file("log");
    o.out = leash::fd(7);
    o.out = leash::sink([](std::string_view chunk) { use(chunk); });
    o.err = leash::inherit;
    o.err = leash::null;
    o.err = leash::piped;
    o.err = leash::file("log", leash::append);
    o.err = leash::fd(7);
    o.err = leash::sink([](std::string_view chunk) { use(chunk); });
    o.err = leash::to_out;
}

void surroundings(int listen_fd) {
    leash::Options o;
    o.cwd = "/srv";
    o.env = leash::Env::inherited().set("A", "1").unset("B");
    o.env = leash::Env::empty().set("A", "1");
    o.jobserver = leash::Jobserver::inherited();
    o.jobserver = leash::Jobserver::serve(4);
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
    static_cast<void>(o.env.get("A"));
    o.executable = "/bin/busybox";
    o.pass_fds = {{listen_fd, 3}};
    o.umask = 022;
    o.nice = 5;
    o.limits.address_space = 1 << 30;
    o.limits.cpu_time = 1500ms;
    o.limits.file_size = leash::Limits::inherited;
    o.group = leash::Group::own;
    o.group = leash::Group::inherited;
    o.group = leash::Group::session;
    o.stragglers = leash::Stragglers::kill;
    o.stragglers = leash::Stragglers::leave;
    o.timeout = 1500ms;
    o.grace = 1s;
    o.drain = 0ms;
    o.max_output = 1024;
    leash::Cancel cancel;
    o.cancel = cancel;
    o.keep = leash::Keep::head;
    o.keep = leash::Keep::tail;
    o.idle_timeout = 30s;
    cancel.fire();
    static_cast<void>(cancel.fired() || cancel.handle() == 0);
    o = leash::Options::interactive();
}

void errors() {
    leash::Expected<leash::Result> e = leash::try_run({"true"});
    leash::Expected<leash::Popen> q = leash::Popen::try_spawn({"true"});
    if (!e) {
        const leash::Error& error = e.error();
        use(error.message());
        use(error.subject);
        use(leash::to_string(error.step));
        use(leash::to_string(leash::EndedBy::itself));
        static_cast<void>(error.code == std::errc::no_such_file_or_directory && error.step == leash::Step::program);
    }
    if (q) static_cast<void>(q->wait() == (*q).wait());
    try {
        use(leash::check_output({"false"}));
    } catch (const leash::ProcessFailed& failed) {
        use(failed.what());
        use(failed.err());
        use(failed.result().out);
        static_cast<void>(failed.status().code());
    } catch (const leash::SpawnError& failed) {
        use(failed.what());
        use(failed.subject());
        static_cast<void>(failed.step() == leash::Step::cwd && failed.code());
        use(failed.error().message());
    }
}

}  // namespace

int main() {
    argv();
    static_cast<void>(shell("root"));
    popen(std::chrono::steady_clock::now(), std::chrono::system_clock::now());
    status(leash::ExitStatus());
    commands();
    streams();
    surroundings(5);
    errors();
}
