#include <Poco/Pipe.h>
#include <Poco/PipeStream.h>
#include <Poco/Process.h>
#include <Poco/StreamCopier.h>

int main() {
    Poco::Pipe out;
    const Poco::ProcessHandle child = Poco::Process::launch("/bin/echo", {"hi"}, nullptr, &out, nullptr);
    Poco::PipeInputStream stream(out);
    std::string all;
    Poco::StreamCopier::copyToString(stream, all);
    child.wait();
    return all == "hi\n" ? 0 : 1;
}
