/* The inner loop of the tensor check: vectors of elements against vectors of bounds.

   There is one `guardrail_screen_NAME` for each element type, and a sum by which the benchmark
   measures the memory bandwidth. A screen returns only whether all elements are good; `_tensor.pyx`
   finds the bad one. It reads only the elements that it is given; they need not be aligned.

   It uses the vector extensions of GCC and Clang, which work on any machine. On x86-64 it is
   compiled twice, for AVX2 and for the baseline; one is chosen when the module is loaded. AVX-512
   was slower in cache on a Zen 5. Measured by `python -m benchmarks.validation.tensors`. */

#ifndef GUARDRAIL_SCREEN_H
#define GUARDRAIL_SCREEN_H

#include <Python.h>
#include <stdint.h>

#define GUARDRAIL_VECTOR 32  /* bytes */

typedef int64_t guardrail_words
    __attribute__((vector_size(GUARDRAIL_VECTOR), aligned(1), may_alias));

typedef Py_ssize_t (*guardrail_screener)(
    const char *row, const char *lows, const char *highs,
    Py_ssize_t width, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t far
);

/* A half's bits as an integer of the same order: -0 is -1, next below 0, and every NaN lies
   beyond the infinities. */
#define GUARDRAIL_HALF_ORDER(bits) ((bits) ^ (((bits) >> 15) & 0x7FFF))
#define GUARDRAIL_AS_IT_IS(element) (element)

/* Keeps an element in its register, which GCC would read from memory once per comparison. */
#define GUARDRAIL_KEEP_AVX2(element) __asm__("" : "+x"(element))
#define GUARDRAIL_KEEP_ANY(element)

/* One vector of a row: its 1s stay where an element is surely within its bounds. Said so, and
   not that it lies outside, a NaN on either side is doubtful. */
#define GUARDRAIL_JUDGE(NAME, ORDER, KEEP, sure, row) do { \
        guardrail_##NAME element = *(const guardrail_##NAME *) ((row) + at); \
        element = ORDER(element); \
        KEEP(element); \
        sure &= (guardrail_words) (element >= low) & (guardrail_words) (element <= high); \
    } while (0)

#define GUARDRAIL_JUDGE_ONE(NAME, ORDER, KEEP) do { \
        const guardrail_##NAME low = *(const guardrail_##NAME *) (lows + at); \
        const guardrail_##NAME high = *(const guardrail_##NAME *) (highs + at); \
        GUARDRAIL_JUDGE(NAME, ORDER, KEEP, one, row); \
    } while (0)

#define GUARDRAIL_JUDGE_FOUR(NAME, ORDER, KEEP) do { \
        const guardrail_##NAME low = *(const guardrail_##NAME *) (lows + at); \
        const guardrail_##NAME high = *(const guardrail_##NAME *) (highs + at); \
        GUARDRAIL_JUDGE(NAME, ORDER, KEEP, one, row); \
        GUARDRAIL_JUDGE(NAME, ORDER, KEEP, two, second); \
        GUARDRAIL_JUDGE(NAME, ORDER, KEEP, three, third); \
        GUARDRAIL_JUDGE(NAME, ORDER, KEEP, four, fourth); \
    } while (0)

/* Screens `rows` rows of `width` bytes, a vector's at least, which begin `stride` bytes apart,
   and returns how many stand before the first that is doubtful, or before its group. Four rows
   at a time, so that each bound is loaded once for four elements; but where they come from
   `far`, one after the other: four rows read in turn hide from the machine that they are one
   stream, which cost it two thirds of its speed. A last vector that is not whole overlaps the
   one before. */
#define GUARDRAIL_SCREEN(NAME, ORDER, LEVEL, KEEP, TARGET) \
    TARGET static Py_ssize_t guardrail_screen_##NAME##_##LEVEL( \
        const char *row, const char *lows, const char *highs, \
        Py_ssize_t width, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t far \
    ) { \
        const Py_ssize_t last = width - GUARDRAIL_VECTOR; \
        Py_ssize_t done = 0, count, at; \
        for (; done < rows; done += count, row += count * stride) { \
            guardrail_words one = {-1, -1, -1, -1}, two = one, three = one, four = one; \
            count = far || rows - done < 4 ? 1 : 4; \
            if (count == 1) { \
                for (at = 0; at < last; at += GUARDRAIL_VECTOR) { \
                    GUARDRAIL_JUDGE_ONE(NAME, ORDER, KEEP); \
                } \
                at = last; \
                GUARDRAIL_JUDGE_ONE(NAME, ORDER, KEEP); \
            } else { \
                const char *second = row + stride; \
                const char *third = second + stride; \
                const char *fourth = third + stride; \
                for (at = 0; at < width; at += GUARDRAIL_VECTOR) { \
                    at = at < last ? at : last; \
                    GUARDRAIL_JUDGE_FOUR(NAME, ORDER, KEEP); \
                    at += GUARDRAIL_VECTOR; \
                    at = at < last ? at : last; \
                    GUARDRAIL_JUDGE_FOUR(NAME, ORDER, KEEP); \
                } \
            } \
            one &= two & three & four; \
            if ((one[0] & one[1] & one[2] & one[3]) != -1) { \
                break; \
            } \
        } \
        return done; \
    }

/* Whether all of four or more elements surely lie within bounds of their own, as they were given:
   for one row, or few, to which bounds of the elements' type would not pay. `most` is the
   greatest double where infinities are in doubt, too. */
#define GUARDRAIL_WITHIN(NAME, SIZE, LEVEL, TARGET) \
    TARGET static int guardrail_within_##NAME##_##LEVEL( \
        const char *elements, const double *lows, const double *highs, \
        Py_ssize_t count, double most \
    ) { \
        guardrail_words sure = {-1, -1, -1, -1}; \
        Py_ssize_t at; \
        for (at = 0; at < count; at += 4) { \
            at = at < count - 4 ? at : count - 4; \
            const guardrail_double element = __builtin_convertvector( \
                *(const guardrail_four_##NAME *) (elements + at * SIZE), guardrail_double); \
            const guardrail_double low = *(const guardrail_double *) (lows + at); \
            const guardrail_double high = *(const guardrail_double *) (highs + at); \
            sure &= (guardrail_words) (element >= low) & (guardrail_words) (element <= high); \
            sure &= (guardrail_words) (element >= -most) & (guardrail_words) (element <= most); \
        } \
        return (sure[0] & sure[1] & sure[2] & sure[3]) == -1; \
    }

/* Adds up vectors of words, and does nothing else. */
#define GUARDRAIL_SUM(LEVEL, TARGET) \
    TARGET static int64_t guardrail_sum_##LEVEL(const char *bytes, Py_ssize_t length) { \
        const guardrail_words *words = (const guardrail_words *) bytes; \
        guardrail_words one = {0}, two = one, three = one, four = one; \
        for (; length >= 4 * GUARDRAIL_VECTOR; length -= 4 * GUARDRAIL_VECTOR, words += 4) { \
            one += words[0]; \
            two += words[1]; \
            three += words[2]; \
            four += words[3]; \
        } \
        one += two + three + four; \
        return one[0] + one[1] + one[2] + one[3]; \
    }

/* `CFLAGS=-DGUARDRAIL_PORTABLE` builds what other machines run, for the tests to try here. */
#if defined(__x86_64__) && !defined(GUARDRAIL_PORTABLE)
#define GUARDRAIL_AVX2 __attribute__((target("avx2")))
#define GUARDRAIL_CHOOSE(NAME) (guardrail_has_avx2 ? NAME##_avx2 : NAME##_any)
#define GUARDRAIL_LEVELS(NAME, ORDER) \
    GUARDRAIL_SCREEN(NAME, ORDER, any, GUARDRAIL_KEEP_ANY, ) \
    GUARDRAIL_SCREEN(NAME, ORDER, avx2, GUARDRAIL_KEEP_AVX2, GUARDRAIL_AVX2)
static int guardrail_has_avx2 = 0;
static void guardrail_choose(void) {
    __builtin_cpu_init();
    guardrail_has_avx2 = __builtin_cpu_supports("avx2");
}
static const char *guardrail_path(void) { return guardrail_has_avx2 ? "avx2" : "portable"; }
GUARDRAIL_SUM(any, )
GUARDRAIL_SUM(avx2, GUARDRAIL_AVX2)
#else
static const char *guardrail_path(void) { return "portable"; }
#define GUARDRAIL_CHOOSE(NAME) (NAME##_any)
#define GUARDRAIL_LEVELS(NAME, ORDER) GUARDRAIL_SCREEN(NAME, ORDER, any, GUARDRAIL_KEEP_ANY, )
static void guardrail_choose(void) {}
GUARDRAIL_SUM(any, )
#endif

#define GUARDRAIL_ELEMENT(NAME, TYPE, ORDER) \
    typedef TYPE guardrail_##NAME \
        __attribute__((vector_size(GUARDRAIL_VECTOR), aligned(1), may_alias)); \
    GUARDRAIL_LEVELS(NAME, ORDER)

GUARDRAIL_ELEMENT(half, int16_t, GUARDRAIL_HALF_ORDER)
GUARDRAIL_ELEMENT(float, float, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(double, double, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(int8, int8_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(int16, int16_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(int32, int32_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(int64, int64_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(uint8, uint8_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(uint16, uint16_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(uint32, uint32_t, GUARDRAIL_AS_IT_IS)
GUARDRAIL_ELEMENT(uint64, uint64_t, GUARDRAIL_AS_IT_IS)

typedef float guardrail_four_float __attribute__((vector_size(16), aligned(1), may_alias));
typedef guardrail_double guardrail_four_double;
GUARDRAIL_WITHIN(float, 4, any, )
GUARDRAIL_WITHIN(double, 8, any, )
#ifdef GUARDRAIL_AVX2
GUARDRAIL_WITHIN(float, 4, avx2, GUARDRAIL_AVX2)
GUARDRAIL_WITHIN(double, 8, avx2, GUARDRAIL_AVX2)
#endif

#define guardrail_within_float GUARDRAIL_CHOOSE(guardrail_within_float)
#define guardrail_within_double GUARDRAIL_CHOOSE(guardrail_within_double)
#define guardrail_screen_half GUARDRAIL_CHOOSE(guardrail_screen_half)
#define guardrail_screen_float GUARDRAIL_CHOOSE(guardrail_screen_float)
#define guardrail_screen_double GUARDRAIL_CHOOSE(guardrail_screen_double)
#define guardrail_screen_int8 GUARDRAIL_CHOOSE(guardrail_screen_int8)
#define guardrail_screen_int16 GUARDRAIL_CHOOSE(guardrail_screen_int16)
#define guardrail_screen_int32 GUARDRAIL_CHOOSE(guardrail_screen_int32)
#define guardrail_screen_int64 GUARDRAIL_CHOOSE(guardrail_screen_int64)
#define guardrail_screen_uint8 GUARDRAIL_CHOOSE(guardrail_screen_uint8)
#define guardrail_screen_uint16 GUARDRAIL_CHOOSE(guardrail_screen_uint16)
#define guardrail_screen_uint32 GUARDRAIL_CHOOSE(guardrail_screen_uint32)
#define guardrail_screen_uint64 GUARDRAIL_CHOOSE(guardrail_screen_uint64)
#define guardrail_sum GUARDRAIL_CHOOSE(guardrail_sum)

#endif
