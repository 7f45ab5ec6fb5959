// Files that list checksums, in the two styles in use:
//
//     44bc2cf5ad770999  a.txt              (GNU: the algorithm is the caller's to know)
//     XXH64 (a.txt) = 44bc2cf5ad770999     (BSD: each line names its algorithm)
//
// Bad lines are C++ exceptions inside, and one Python exception with the line's number outside.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Entry {
    std::string algorithm; // lower case; empty in GNU style
    std::string digest;    // lower case, hexadecimal
    std::string name;
};

class BadLine : public std::runtime_error {
public:
    BadLine(std::size_t number, const std::string &what) : std::runtime_error(what), number(number) {}
    const std::size_t number;
};

std::string lower(std::string_view text)
{
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

std::string digest_of(std::string_view text)
{
    const bool hexadecimal =
        std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
    if (text.empty() || text.size() % 2 != 0 || !hexadecimal)
        throw std::invalid_argument("'" + std::string(text) + "' is not a hexadecimal digest");
    return lower(text);
}

// One style of lines. `read` gives nothing for a line of another style and throws for a bad one of its own.
class Style {
public:
    virtual ~Style() = default;
    virtual std::optional<Entry> read(std::string_view line) const = 0;
};

class BsdStyle final : public Style {
public:
    std::optional<Entry> read(std::string_view line) const override
    {
        const auto open = line.find(" (");
        const auto close = line.rfind(") = ");
        if (open == line.npos || close == line.npos || close < open + 2)
            return std::nullopt;
        if (close == open + 2)
            throw std::invalid_argument("the file name is empty");
        return Entry{lower(line.substr(0, open)), digest_of(line.substr(close + 4)),
                     std::string(line.substr(open + 2, close - open - 2))};
    }
};

class GnuStyle final : public Style {
public:
    std::optional<Entry> read(std::string_view line) const override
    {
        const auto end = line.find(' ');
        // The second character tells text (space) from binary ('*') mode, which mean the same.
        if (end == line.npos || end + 2 >= line.size() || (line[end + 1] != ' ' && line[end + 1] != '*'))
            return std::nullopt;
        return Entry{"", digest_of(line.substr(0, end)), std::string(line.substr(end + 2))};
    }
};

std::vector<Entry> parse_all(std::string_view text)
{
    std::vector<std::unique_ptr<Style>> styles;
    styles.push_back(std::make_unique<BsdStyle>());
    styles.push_back(std::make_unique<GnuStyle>());

    std::vector<Entry> entries;
    for (std::size_t number = 1; !text.empty(); number++) {
        const auto end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!line.empty() && line.back() == '\r')
            line.remove_suffix(1);
        if (line.empty() || line.front() == '#')
            continue;
        try {
            std::optional<Entry> entry;
            for (const auto &style : styles)
                if ((entry = style->read(line)))
                    break;
            if (!entry)
                throw std::invalid_argument("neither 'digest  name' nor 'ALGORITHM (name) = digest'");
            entries.push_back(std::move(*entry));
        } catch (const std::invalid_argument &error) {
            throw BadLine(number, error.what());
        }
    }
    return entries;
}

PyObject *text(const std::string &value)
{
    return PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size()));
}

PyObject *to_python(const std::vector<Entry> &entries)
{
    PyObject *list = PyList_New(static_cast<Py_ssize_t>(entries.size()));
    if (!list)
        return nullptr;
    for (std::size_t i = 0; i < entries.size(); i++) {
        const Entry &entry = entries[i];
        PyObject *row = Py_BuildValue("(NNN)", text(entry.algorithm), text(entry.digest), text(entry.name));
        if (!row) {
            Py_DECREF(list);
            return nullptr;
        }
        PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), row);
    }
    return list;
}

PyObject *parse(PyObject *, PyObject *argument)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(argument, &length);
    if (!text)
        return nullptr;
    try {
        return to_python(parse_all({text, static_cast<std::size_t>(length)}));
    } catch (const BadLine &bad) {
        PyErr_Format(PyExc_ValueError, "line %zu: %s", bad.number, bad.what());
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
    }
    return nullptr;
}

PyMethodDef methods[] = {
    {"parse", parse, METH_O,
     "parse(text, /)\n--\n\nThe (algorithm, digest, name) of each line; ValueError names the first bad line."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {{0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "checksums._listing", "Files that list checksums.", 0, methods, slots,
    nullptr,               nullptr,              nullptr,
};

} // namespace

PyMODINIT_FUNC PyInit__listing()
{
    return PyModuleDef_Init(&definition);
}
