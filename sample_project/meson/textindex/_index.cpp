// The index for Python. Exceptions of the shared library end here, as ValueError and MemoryError.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "index.hpp"

#include <new>

namespace {

struct IndexObject {
    PyObject_HEAD
    textindex::Index *index;
};

IndexObject *self_of(PyObject *object)
{
    return reinterpret_cast<IndexObject *>(object);
}

PyObject *create(PyTypeObject *type, PyObject *, PyObject *)
{
    auto *object = PyObject_New(IndexObject, type);
    if (!object)
        return nullptr;
    object->index = new (std::nothrow) textindex::Index;
    if (!object->index) {
        Py_DECREF(object);
        return PyErr_NoMemory();
    }
    return reinterpret_cast<PyObject *>(object);
}

void destroy(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    delete self_of(object)->index;
    PyObject_Free(object);
    Py_DECREF(type);
}

PyObject *add(PyObject *object, PyObject *argument)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(argument, &length);
    if (!text)
        return nullptr;
    try {
        return PyLong_FromUnsignedLong(self_of(object)->index->add({text, static_cast<std::size_t>(length)}));
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
}

PyObject *to_python(const std::vector<textindex::Hit> &hits)
{
    PyObject *list = PyList_New(static_cast<Py_ssize_t>(hits.size()));
    for (std::size_t i = 0; list && i < hits.size(); i++) {
        PyObject *pair = Py_BuildValue("(Id)", static_cast<unsigned>(hits[i].document), hits[i].score);
        if (pair)
            PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), pair);
        else
            Py_CLEAR(list);
    }
    return list;
}

PyObject *search(PyObject *object, PyObject *args)
{
    const char *query;
    Py_ssize_t length, limit = 10;
    if (!PyArg_ParseTuple(args, "s#|n", &query, &length, &limit))
        return nullptr;
    if (limit < 0) {
        PyErr_SetString(PyExc_ValueError, "the limit is negative");
        return nullptr;
    }
    try {
        return to_python(self_of(object)->index->search({query, static_cast<std::size_t>(length)},
                                                        static_cast<std::size_t>(limit)));
    } catch (const textindex::QueryError &error) {
        return PyErr_Format(PyExc_ValueError, "at %zu: %s", error.position, error.what());
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
}

PyObject *words(PyObject *object, PyObject *)
{
    return PyLong_FromSize_t(self_of(object)->index->words());
}

Py_ssize_t documents(PyObject *object)
{
    return static_cast<Py_ssize_t>(self_of(object)->index->documents());
}

PyMethodDef methods[] = {
    {"add", add, METH_O, "add(text, /)\n--\n\nIndex a text and return its number."},
    {"search", search, METH_VARARGS,
     "search(query, limit=10, /)\n--\n\nThe best (number, score) pairs; ValueError for a query that is none."},
    {"words", words, METH_NOARGS, "words()\n--\n\nHow many different words there are."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot type_slots[] = {
    {Py_tp_new, reinterpret_cast<void *>(create)},
    {Py_tp_dealloc, reinterpret_cast<void *>(destroy)},
    {Py_tp_methods, methods},
    {Py_sq_length, reinterpret_cast<void *>(documents)},
    {Py_tp_doc, const_cast<char *>("An inverted index in memory.")},
    {0, nullptr},
};

PyType_Spec type_spec = {"textindex._index.Index", sizeof(IndexObject), 0, Py_TPFLAGS_DEFAULT, type_slots};

int fill(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&type_spec);
    const int result = type ? PyModule_AddObjectRef(module, "Index", type) : -1;
    Py_XDECREF(type);
    return result;
}

PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void *>(fill)}, {0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "textindex._index", "The index.", 0, nullptr, slots, nullptr, nullptr, nullptr,
};

} // namespace

PyMODINIT_FUNC PyInit__index()
{
    return PyModuleDef_Init(&definition);
}
