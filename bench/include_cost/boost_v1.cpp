#include <boost/asio.hpp>
#include <boost/process.hpp>
#include <boost/process/async.hpp>
#include <future>

int main() {
    boost::asio::io_context context;
    std::future<std::string> out;
    boost::process::child child("/bin/echo", "hi", boost::process::std_out > out, context);
    context.run();
    child.wait();
    return out.get() == "hi\n" ? 0 : 1;
}
