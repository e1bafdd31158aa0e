/* A host that runs a LADSPA plug-in on noise and prints, as JSON, what its callbacks did: their time, allocations and
 * locks, and the share of a core that the process took. For glibc.
 *
 * Arguments: library, samples per block, sampling rate, seconds, and 1 for callbacks in real time, by a thread with
 * real-time priority where that is permitted, as in audio servers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ladspa_abi.h"

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static __thread int callback;
static long allocations, locks; /* in callbacks */

static void allocated(void) { allocations += callback; }
void *malloc(size_t size) { return allocated(), __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return allocated(), __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return allocated(), __libc_realloc(old, size); }
void *aligned_alloc(size_t unit, size_t size) { return allocated(), __libc_memalign(unit, size); }
void *memalign(size_t unit, size_t size) { return allocated(), __libc_memalign(unit, size); }
int posix_memalign(void **new, size_t unit, size_t size) {
    allocated();
    return (*new = __libc_memalign(unit, size)) ? 0 : ENOMEM;
}
void free(void *old) {
    if (old) allocated();
    __libc_free(old);
}
int pthread_mutex_lock(pthread_mutex_t *mutex) {
    static int (*lock)(pthread_mutex_t *);
    if (!lock) *(void **)&lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    locks += callback;
    return lock(mutex);
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int count, char **words) {
    if (count != 6) return 2;
    int block = atoi(words[2]), rate = atoi(words[3]), paced = atoi(words[5]), calls = (int)(atof(words[4]) * rate / block);
    void *library = dlopen(words[1], RTLD_NOW);
    const Descriptor *(*entry)(unsigned long) = NULL;
    if (!library || !(*(void **)&entry = dlsym(library, "ladspa_descriptor"))) return 3;
    const Descriptor *plugin = entry(0);
    void *handle = plugin->instantiate(plugin, rate);
    float *in = calloc(block, sizeof(float)), *out = calloc(block, sizeof(float)), controls[16] = {0, 0, 100};
    int latency = 0;
    double *times = calloc(calls, sizeof(double)), peak = 0;
    for (unsigned long port = 0; port < plugin->ports; port++) {
        plugin->connect_port(handle, port, port == 0 ? in : port == 1 ? out : &controls[port]);
        if (!strcmp(plugin->port_names[port], "latency")) latency = (int)port;
    }
    plugin->activate(handle);
    struct sched_param priority = {.sched_priority = 50};
    int server = paced && pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
    double began = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int call = 0; call < calls; call++) {
        for (int i = 0; i < block; i++) in[i] = 0.2f * ((float)rand() / (float)RAND_MAX - 0.5f);
        double wait = began + (double)call * block / rate - seconds(CLOCK_MONOTONIC);
        struct timespec pause = {.tv_sec = (time_t)wait, .tv_nsec = (long)(1e9 * (wait - (double)(time_t)wait))};
        if (paced && wait > 0) nanosleep(&pause, NULL);
        double start = seconds(CLOCK_MONOTONIC);
        callback = 1;
        plugin->run(handle, block);
        callback = 0;
        times[call] = seconds(CLOCK_MONOTONIC) - start;
        for (int i = 0; i < block; i++) peak = out[i] > peak ? out[i] : peak;
    }
    used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
    qsort(times, calls, sizeof(double), by_value);
    printf("{\"allocations\": %ld, \"locks\": %ld, \"latency\": %g, \"peak\": %g, \"core\": %.5f, ", allocations, locks,
           controls[latency], peak, used * rate / calls / block);
    printf("\"priority\": %d, \"median_us\": %.2f, \"p99_us\": %.2f, \"most_us\": %.2f}\n", server, 1e6 * times[calls / 2],
           1e6 * times[calls * 99 / 100], 1e6 * times[calls - 1]);
    plugin->cleanup(handle);
    free(in), free(out), free(times);
    return 0;
}
