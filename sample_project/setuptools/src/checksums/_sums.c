/* Checksums over anything that has a buffer. Large inputs are summed without the GIL. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Below this many bytes, giving up the GIL costs more than it brings. */
#define GIL_WORTH 4096

/* CRC-32C (Castagnoli, RFC 3720), reflected, eight bytes a step: crc_table[k][b] is the CRC of byte b followed by k
   zero bytes. Filled once when the module is imported. */
static uint32_t crc_table[8][256];

static void fill_crc_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
        crc_table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++)
            crc_table[k][byte] = (crc_table[k - 1][byte] >> 8) ^ crc_table[0][crc_table[k - 1][byte] & 0xff];
}

static uint32_t read32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t read64(const unsigned char *p)
{
    return (uint64_t)read32(p) | (uint64_t)read32(p + 4) << 32;
}

static uint64_t crc32c(const unsigned char *p, size_t length, uint64_t start)
{
    uint32_t crc = ~(uint32_t)start;
    for (; length >= 8; p += 8, length -= 8) {
        uint32_t low = crc ^ read32(p), high = read32(p + 4);
        crc = crc_table[7][low & 0xff] ^ crc_table[6][low >> 8 & 0xff] ^ crc_table[5][low >> 16 & 0xff] ^
              crc_table[4][low >> 24] ^ crc_table[3][high & 0xff] ^ crc_table[2][high >> 8 & 0xff] ^
              crc_table[1][high >> 16 & 0xff] ^ crc_table[0][high >> 24];
    }
    for (; length; p++, length--)
        crc = (crc >> 8) ^ crc_table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

/* Adler-32 (RFC 1950). 5552 is the most bytes whose sums cannot overflow 32 bits. */
static uint64_t adler32(const unsigned char *p, size_t length, uint64_t start)
{
    uint32_t a = start & 0xffff, b = start >> 16 & 0xffff;
    while (length) {
        size_t run = length < 5552 ? length : 5552;
        length -= run;
        for (; run; run--) {
            a += *p++;
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    return (uint64_t)b << 16 | a;
}

/* XXH64, as its specification describes it: four lanes over 32-byte stripes, then the tail, then the avalanche. */
static const uint64_t P1 = 0x9e3779b185ebca87u, P2 = 0xc2b2ae3d27d4eb4fu, P3 = 0x165667b19e3779f9u,
                      P4 = 0x85ebca77c2b2ae63u, P5 = 0x27d4eb2f165667c5u;

static uint64_t rotl(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

static uint64_t xxh_round(uint64_t lane, uint64_t input)
{
    return rotl(lane + input * P2, 31) * P1;
}

static uint64_t xxh64(const unsigned char *p, size_t length, uint64_t seed)
{
    uint64_t hash = seed + P5;
    size_t left = length;
    if (left >= 32) {
        uint64_t lanes[4] = {seed + P1 + P2, seed + P2, seed, seed - P1};
        for (; left >= 32; left -= 32)
            for (int lane = 0; lane < 4; lane++, p += 8)
                lanes[lane] = xxh_round(lanes[lane], read64(p));
        hash = rotl(lanes[0], 1) + rotl(lanes[1], 7) + rotl(lanes[2], 12) + rotl(lanes[3], 18);
        for (int lane = 0; lane < 4; lane++)
            hash = (hash ^ xxh_round(0, lanes[lane])) * P1 + P4;
    }
    hash += length;
    for (; left >= 8; p += 8, left -= 8)
        hash = rotl(hash ^ xxh_round(0, read64(p)), 27) * P1 + P4;
    for (; left >= 4; p += 4, left -= 4)
        hash = rotl(hash ^ read32(p) * P1, 23) * P2 + P3;
    for (; left; p++, left--)
        hash = rotl(hash ^ *p * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}

/* What Python sees: one table of algorithms, and three functions that share their argument handling. */

typedef uint64_t (*sum_function)(const unsigned char *, size_t, uint64_t);

typedef struct {
    const char *name;
    sum_function sum;
    int bits;
    uint64_t start;
} algorithm;

static const algorithm algorithms[] = {
    {"crc32c", crc32c, 32, 0},
    {"adler32", adler32, 32, 1},
    {"xxh64", xxh64, 64, 0},
};

static PyObject *run(const algorithm *chosen, PyObject *args)
{
    Py_buffer data;
    unsigned long long start = chosen->start;
    if (!PyArg_ParseTuple(args, "y*|K", &data, &start))
        return NULL;
    uint64_t sum;
    if (data.len < GIL_WORTH) {
        sum = chosen->sum(data.buf, (size_t)data.len, start);
    } else {
        Py_BEGIN_ALLOW_THREADS
        sum = chosen->sum(data.buf, (size_t)data.len, start);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLongLong(sum);
}

static PyObject *py_crc32c(PyObject *Py_UNUSED(module), PyObject *args)
{
    return run(&algorithms[0], args);
}

static PyObject *py_adler32(PyObject *Py_UNUSED(module), PyObject *args)
{
    return run(&algorithms[1], args);
}

static PyObject *py_xxh64(PyObject *Py_UNUSED(module), PyObject *args)
{
    return run(&algorithms[2], args);
}

static PyMethodDef methods[] = {
    {"crc32c", py_crc32c, METH_VARARGS, "crc32c(data, value=0, /)\n--\n\nThe CRC-32C of data, or continued from value."},
    {"adler32", py_adler32, METH_VARARGS,
     "adler32(data, value=1, /)\n--\n\nThe Adler-32 checksum of data, or continued from value."},
    {"xxh64", py_xxh64, METH_VARARGS, "xxh64(data, seed=0, /)\n--\n\nThe XXH64 hash of data."},
    {NULL, NULL, 0, NULL},
};

static int exec_module(PyObject *module)
{
    fill_crc_table();
    PyObject *widths = PyDict_New();
    if (!widths)
        return -1;
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        PyObject *bits = PyLong_FromLong(algorithms[i].bits);
        if (!bits || PyDict_SetItemString(widths, algorithms[i].name, bits) < 0) {
            Py_XDECREF(bits);
            Py_DECREF(widths);
            return -1;
        }
        Py_DECREF(bits);
    }
    if (PyModule_AddObjectRef(module, "BITS", widths) < 0) {
        Py_DECREF(widths);
        return -1;
    }
    Py_DECREF(widths);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "checksums._sums",
    .m_doc = "Checksums over anything that has a buffer.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__sums(void)
{
    return PyModuleDef_Init(&definition);
}
