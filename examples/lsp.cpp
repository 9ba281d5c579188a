// examples/lsp.cpp - talks to a language server, in messages that say first how long they are, as LSP, DAP and others do.
//
//     g++ -std=c++20 -Iinclude examples/lsp.cpp -o lsp -pthread
//
//     ./lsp [SERVER ARGUMENT...]      without: clangd. It says who the server is, and where `answer` is declared in
//                                     `int answer(); int x = answer();`

#include <leash/leash.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// A header says how long the body is. What a server says there is not believed blindly: it costs memory.
class Client {
  public:
    explicit Client(leash::Popen& server) : server_(server) {}

    bool send(const std::string& body) {
        return static_cast<bool>(
            server_.in().write("Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body, 10s));
    }

    /// The body of the next message; an empty one where there is none.
    std::string receive() {
        std::size_t length = 0;
        for (;;) {
            const leash::Read line = server_.out().read_until("\r\n", 1000, 30s);
            if (!line) return {};
            if (line.data == "\r\n") break;
            if (constexpr std::string_view name = "Content-Length: "; line.data.compare(0, name.size(), name) == 0)
                length = std::strtoul(line.data.c_str() + name.size(), nullptr, 10);
        }
        if (length > 16'000'000) return {};
        return server_.out().read_exactly(length, 30s).data;
    }

    /// What comes between is not for us: messages to be shown, diagnostics.
    std::string ask(int id, const std::string& method, const std::string& params) {
        const std::string number = "\"id\":" + std::to_string(id);
        if (!send("{\"jsonrpc\":\"2.0\"," + number + ",\"method\":\"" + method + "\",\"params\":" + params + "}"))
            return {};
        for (std::string message = receive(); !message.empty(); message = receive()) {
            if (message.find(number) != std::string::npos) return message;
        }
        return {};
    }

    bool tell(const std::string& method, const std::string& params) {
        return send("{\"jsonrpc\":\"2.0\",\"method\":\"" + method + "\",\"params\":" + params + "}");
    }

  private:
    leash::Popen& server_;
};

/// The text behind `name`, up to one of `ends`. (An editor has a JSON library; this does for an example.)
std::string behind(const std::string& text, std::string_view name, const char* ends) {
    const std::size_t at = text.find(name);
    if (at == std::string::npos) return "?";
    const std::size_t start = at + name.size();
    return text.substr(start, text.find_first_of(ends, start) - start);
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> command(argv + 1, argv + argc);
    if (command.empty()) command = {"clangd", "--log=error", "--background-index=0"};

    auto started = leash::Popen::try_spawn(
        leash::args(command), {.in = leash::piped, .out = leash::piped, .err = leash::null, .timeout = 60s});
    if (!started) {
        std::printf("no server: %s\n", started.error().message().c_str());
        return started.error().code == std::errc::no_such_file_or_directory ? 0 : 1;
    }
    leash::Popen& server = *started;
    Client client(server);

    const std::string hello = client.ask(1, "initialize", R"({"processId":null,"rootUri":null,"capabilities":{}})");
    if (hello.empty()) {
        server.stop(1s);
        std::printf("it does not answer: %s\n", server.wait().describe().c_str());
        return 1;
    }
    const std::string info = behind(hello, "\"serverInfo\":{", "}");
    std::printf("the server is %s\n", behind(info, "\"name\":\"", "\"").c_str());

    client.tell("initialized", "{}");
    client.tell("textDocument/didOpen",
                R"({"textDocument":{"uri":"file:///tmp/answer.cpp","languageId":"cpp","version":1,)"
                R"("text":"int answer();\nint x = answer();\n"}})");
    const std::string place =
        client.ask(2, "textDocument/definition",
                   R"({"textDocument":{"uri":"file:///tmp/answer.cpp"},"position":{"line":1,"character":9}})");
    std::printf("answer is declared in line %s\n", behind(place, "\"start\":{\"character\":4,\"line\":", "}").c_str());

    client.ask(3, "shutdown", "null");
    client.tell("exit", "null");
    server.in().close();
    std::printf("the server %s\n", server.wait().describe().c_str());
}
