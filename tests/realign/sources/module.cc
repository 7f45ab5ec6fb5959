// What a Python extension in C++ has: classes, containers, inheritance from Python, exceptions both ways, a thread.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace py = pybind11;

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

struct Square : Shape {
    explicit Square(double side) : side(side) {}
    double area() const override { return side * side; }
    double side;
};

struct PyShape : Shape {
    double area() const override { PYBIND11_OVERRIDE_PURE(double, Shape, area, ); }
};

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

static thread_local int calls = 0;
static std::map<std::string, std::vector<int>> memory{{"primes", {2, 3, 5, 7}}};

static double total(const std::vector<const Shape *> &shapes)
{
    double sum = 0;
    for (const Shape *shape : shapes) sum += shape->area();
    return sum;
}

static std::string attempt(const std::function<int(int)> &function, int x)
{
    calls++;
    try {
        if (x > 10) throw Failure("too large: " + std::to_string(x));
        return std::to_string(function(x));
    } catch (py::error_already_set &error) {
        return std::string("python: ") + error.what();
    }
}

PYBIND11_MODULE(module, m)
{
    py::register_exception<Failure>(m, "Failure");
    py::class_<Shape, PyShape>(m, "Shape").def(py::init<>()).def("area", &Shape::area);
    py::class_<Square, Shape>(m, "Square").def(py::init<double>()).def_readwrite("side", &Square::side);
    m.def("total", &total);
    m.def("attempt", &attempt, py::arg("function"), py::arg("x") = 3);
    m.def("memory", [] { return memory; });
    m.def("calls", [] {
        int other = -1;
        std::thread([&] { other = calls; }).join();
        return std::make_pair(calls, other);
    });
}
