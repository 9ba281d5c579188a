#include <boost/asio.hpp>
#include <boost/process/v2.hpp>

int main() {
    boost::asio::io_context context;
    boost::asio::readable_pipe out(context);
    boost::process::v2::process child(context, "/bin/echo", {"hi"}, boost::process::v2::process_stdio{{}, out, {}});
    std::string all;
    boost::system::error_code error;
    boost::asio::read(out, boost::asio::dynamic_buffer(all), error);
    child.wait();
    return all == "hi\n" ? 0 : 1;
}
