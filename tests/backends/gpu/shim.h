// What the text of a CUDA kernel needs to be run on a CPU, one block at a time.
//
// The threads of a block are fibres: each runs until it comes to a barrier or to its end, then the next has its turn.
// A barrier that not every thread reaches is an error, as it is on a GPU. Blocks run in descending order, and every
// second one has its threads in descending order too, so that a kernel which relies on an order is found out.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <ucontext.h>

struct Coordinates { unsigned x; };
static Coordinates threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __shared__ static
#define __syncthreads() shim_wait()
#define __launch_bounds__(n)

static inline float __int_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline double __longlong_as_double(unsigned long long bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }

typedef unsigned short half_bits;
static inline float from_half(half_bits h) { _Float16 x; memcpy(&x, &h, 2); return (float)x; }
template <class T> static inline half_bits to_half(T value) { _Float16 x = (_Float16)value; half_bits h; memcpy(&h, &x, 2); return h; }

enum { SHIM_THREADS = 1024, SHIM_STACK = 32 << 10 };
static ucontext_t shim_fibres[SHIM_THREADS];
static jmp_buf shim_places[SHIM_THREADS], shim_back;
static char shim_stacks[SHIM_THREADS][SHIM_STACK];
static bool shim_begun[SHIM_THREADS], shim_done[SHIM_THREADS];
static unsigned shim_current;
static void (*shim_body)(long long*);
static long long* shim_words;

static void shim_wait() {
  unsigned mine = shim_current;
  if (!_setjmp(shim_places[mine])) _longjmp(shim_back, 1);
  threadIdx.x = mine;
}

static void shim_begin() {
  shim_body(shim_words);
  shim_done[shim_current] = true;
  _longjmp(shim_back, 1);
}

// Lets a thread run on. Contexts only begin fibres: changing them asks the system each time, which jumps do not.
__attribute__((noinline)) static void shim_run(unsigned t) {
  shim_current = threadIdx.x = t;
  if (_setjmp(shim_back)) return;
  if (shim_begun[t]) _longjmp(shim_places[t], 1);
  shim_begun[t] = true;
  setcontext(&shim_fibres[t]);
}

// Runs one block whose threads wait for one another; 0, or 1 when some ended while others waited.
static int shim_fibres_of_block(unsigned threads) {
  for (unsigned t = 0; t < threads; t++) {
    getcontext(&shim_fibres[t]);
    shim_fibres[t].uc_stack.ss_sp = shim_stacks[t];
    shim_fibres[t].uc_stack.ss_size = SHIM_STACK;
    makecontext(&shim_fibres[t], shim_begin, 0);
    shim_begun[t] = shim_done[t] = false;
  }
  for (;;) {
    unsigned ended = 0;
    for (unsigned i = 0; i < threads; i++) {
      unsigned t = blockIdx.x % 2 ? threads - 1 - i : i;
      shim_run(t);
      ended += shim_done[t];
    }
    if (ended == threads) return 0;
    if (ended) return 1;
  }
}

static int shim_grid(unsigned blocks, unsigned threads, bool barriers, void (*body)(long long*), long long* words) {
  shim_body = body, shim_words = words;
  blockDim.x = threads, gridDim.x = blocks;
  for (unsigned b = blocks; b-- > 0;) {
    blockIdx.x = b;
    if (barriers) {
      if (shim_fibres_of_block(threads)) return 1;
    } else {
      for (unsigned i = 0; i < threads; i++) {
        threadIdx.x = b % 2 ? threads - 1 - i : i;
        body(words);
      }
    }
  }
  return 0;
}
