/* The tokenizer for Python: the words of a text, and the same text with some of them marked. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "tokenizer.h"

static PyObject *folded(const char *text, size_t length)
{
    char *copy = PyMem_Malloc(length);
    if (!copy)
        return PyErr_NoMemory();
    for (size_t i = 0; i < length; i++)
        copy[i] = tokenizer_fold(text[i]);
    PyObject *word = PyUnicode_FromStringAndSize(copy, (Py_ssize_t)length);
    PyMem_Free(copy);
    return word;
}

static PyObject *words(PyObject *Py_UNUSED(module), PyObject *argument)
{
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(argument, &length);
    if (!text)
        return NULL;
    PyObject *list = PyList_New(0);
    if (!list)
        return NULL;
    tokenizer state = {text, (size_t)length, 0};
    for (size_t start, end; tokenizer_next(&state, &start, &end);) {
        PyObject *word = folded(text + start, end - start);
        if (!word || PyList_Append(list, word) < 0) {
            Py_XDECREF(word);
            Py_DECREF(list);
            return NULL;
        }
        Py_DECREF(word);
    }
    return list;
}

static PyObject *is_common(PyObject *Py_UNUSED(module), PyObject *argument)
{
    Py_ssize_t length;
    const char *word = PyUnicode_AsUTF8AndSize(argument, &length);
    return word ? PyBool_FromLong(tokenizer_is_common(word, (size_t)length)) : NULL;
}

/* Append UTF-8 text to a list of pieces. */
static int append(PyObject *pieces, const char *text, size_t length)
{
    PyObject *piece = PyUnicode_FromStringAndSize(text, (Py_ssize_t)length);
    int result = piece ? PyList_Append(pieces, piece) : -1;
    Py_XDECREF(piece);
    return result;
}

static int append_marked(PyObject *pieces, const char *text, size_t length, PyObject *wanted)
{
    size_t copied = 0;
    tokenizer state = {text, length, 0};
    for (size_t start, end; tokenizer_next(&state, &start, &end);) {
        PyObject *word = folded(text + start, end - start);
        int found = word ? PySequence_Contains(wanted, word) : -1;
        Py_XDECREF(word);
        if (found < 0)
            return -1;
        if (!found)
            continue;
        if (append(pieces, text + copied, start - copied) < 0 || append(pieces, "[", 1) < 0 ||
            append(pieces, text + start, end - start) < 0 || append(pieces, "]", 1) < 0)
            return -1;
        copied = end;
    }
    return append(pieces, text + copied, length - copied);
}

static PyObject *mark(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *wanted;
    const char *text;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "s#O", &text, &length, &wanted))
        return NULL;
    PyObject *pieces = PyList_New(0), *empty = PyUnicode_FromString(""), *result = NULL;
    if (pieces && empty && append_marked(pieces, text, (size_t)length, wanted) == 0)
        result = PyUnicode_Join(empty, pieces);
    Py_XDECREF(empty);
    Py_XDECREF(pieces);
    return result;
}

static PyMethodDef methods[] = {
    {"words", words, METH_O, "words(text, /)\n--\n\nThe words of a text, in lower case."},
    {"is_common", is_common, METH_O, "is_common(word, /)\n--\n\nWhether a word is too common to tell texts apart."},
    {"mark", mark, METH_VARARGS, "mark(text, words, /)\n--\n\nThe text with each of these words in [brackets]."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "textindex._tokenizer",
    .m_doc = "Words in text.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__tokenizer(void)
{
    return PyModuleDef_Init(&definition);
}
