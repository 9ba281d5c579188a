from os.path import join

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, get

required_conan_version = ">=2.0"


class LeashConan(ConanFile):
    name = "leash"
    description = "Start other programs, and leave nothing of them behind: a header-only C++17 subprocess library"
    license = "MIT"
    topics = ("subprocess", "process", "popen", "timeout", "header-only")
    settings = "os", "arch", "compiler", "build_type"
    # header_only=False adds leash::compiled, a static library.
    options = {"header_only": [True, False]}
    default_options = {"header_only": True}
    no_copy_source = True

    def set_version(self):
        (self.version,) = self.conan_data["sources"]  # conandata.yml has one

    def configure(self):
        self.package_type = "header-library" if self.options.header_only else "static-library"

    def layout(self):
        cmake_layout(self, src_folder="src")

    def package_id(self):
        if self.info.options.header_only:
            self.info.clear()  # the same for every compiler

    def validate(self):
        if self.settings.os == "Windows":
            raise ConanInvalidConfiguration("leash serves POSIX systems only, so far")
        check_min_cppstd(self, 17)

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        if not self.options.header_only:
            toolchain = CMakeToolchain(self)
            toolchain.cache_variables["LEASH_INSTALL_COMPILED"] = True
            toolchain.cache_variables["LEASH_BUILD_TESTS"] = False
            toolchain.cache_variables["LEASH_BUILD_EXAMPLES"] = False
            toolchain.generate()

    def build(self):
        if not self.options.header_only:
            cmake = CMake(self)
            cmake.configure()
            cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, join(self.package_folder, "licenses"))
        copy(self, "*.[hi]pp", join(self.source_folder, "include"), join(self.package_folder, "include"))
        if not self.options.header_only:
            copy(self, "libleash.a", self.build_folder, join(self.package_folder, "lib"), keep_path=False)

    def package_info(self):
        # What stands for all components is not to have the name of one.
        self.cpp_info.set_property("cmake_target_name", "leash::all")
        self.cpp_info.set_property("pkg_config_name", "leash-all")
        headers = self.cpp_info.components["headers"]
        headers.set_property("cmake_target_name", "leash::leash")
        headers.set_property("pkg_config_name", "leash")
        headers.bindirs = []
        headers.libdirs = []
        headers.system_libs = ["pthread"]
        if not self.options.header_only:
            compiled = self.cpp_info.components["compiled"]
            compiled.set_property("cmake_target_name", "leash::compiled")
            compiled.set_property("pkg_config_name", "leash-compiled")
            compiled.bindirs = []
            compiled.libs = ["leash"]
            compiled.defines = ["LEASH_COMPILED"]
            compiled.system_libs = ["pthread"]
