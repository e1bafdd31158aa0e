/* stillwave as a LADSPA plug-in for one channel. README.md explains how it is used.
 *
 * ONNX Runtime allocates memory and takes locks for every frame, so a thread of the plug-in runs the network. The
 * callback of the host, `run`, only copies samples to and from two rings and posts a semaphore. The output is later by
 * the largest block of the host, which is the time that the thread has, and by 10 ms at least. If a frame is late
 * nevertheless, the input is played, with the same delay. Hosts that compute ahead of time let the callback wait.
 */
#define _GNU_SOURCE /* dladdr */

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "pipeline.h"

enum { IN, OUT, LIMIT, BYPASS, WAIT, KEEP, LATENCY, LATE, PORTS };
enum { NO_LIMIT_DB = 100, RING = 1 << 16, MASK = RING - 1, MOST_AT_ONCE = 1 << 14, STEP = 64 };
static const double LEAST_SLACK = 0.01, FADE = 0.02, PATIENCE = 0.25, DECLICK = 0.002; /* seconds */

typedef struct {
    float *ports[PORTS];
    int rate;
    Pipeline pipeline;
    bool opened, running;
    pthread_t thread;
    sem_t wake;
    atomic_bool stop;
    float input[RING], output[RING]; /* sample `number` lies at number & MASK */
    _Atomic int64_t written, produced; /* samples in `input` and `output`, each changed by one of the threads */
    _Atomic int64_t valid;             /* the first sample of `output` since samples were skipped */
    int64_t slack, largest, late;      /* added delay; the largest block of the host, or the least slack; late blocks */
    int64_t patience;                  /* samples until the estimate is played again */
    bool clean;                        /* the last block was the estimate */
    float mix;                         /* share of the input in the output; below 0 before the first block */
    float last, step;                  /* last value of the output, and the rest of a step that is being faded */
} Plugin;

/* The thread of the plug-in: process the samples that are waiting, or skip them if they are too many. */
static void *work(void *handle) {
    Plugin *plugin = handle;
    Pipeline *pipeline = &plugin->pipeline;
    float dry;
    for (int64_t done = 0; !atomic_load(&plugin->stop);) {
        int64_t written = atomic_load_explicit(&plugin->written, memory_order_acquire);
        if (written == done) {
            sem_wait(&plugin->wake);
            continue;
        }
        if (written - done > RING / 2) {
            pipeline_reset(pipeline);
            done = written - 1;
            atomic_store(&plugin->valid, done + pipeline->delay);
        }
        for (int64_t end = written < done + STEP ? written : done + STEP; done < end; done++)
            plugin->output[done & MASK] = pipeline_next(pipeline, plugin->input[done & MASK], &dry);
        atomic_store_explicit(&plugin->produced, done, memory_order_release);
    }
    return NULL;
}

static void stop(Plugin *plugin) {
    if (!plugin->running) return;
    atomic_store(&plugin->stop, true);
    sem_post(&plugin->wake);
    pthread_join(plugin->thread, NULL);
    plugin->running = false;
}

static void deactivate(void *handle) { stop(handle); }

static void activate(void *handle) {
    Plugin *plugin = handle;
    stop(plugin);
    if (!plugin->opened) return;
    pipeline_reset(&plugin->pipeline);
    atomic_store(&plugin->written, 0);
    atomic_store(&plugin->produced, 0);
    atomic_store(&plugin->valid, INT64_MIN);
    atomic_store(&plugin->stop, false);
    plugin->largest = lround(LEAST_SLACK * plugin->rate);
    plugin->slack = plugin->late = plugin->patience = 0;
    plugin->clean = true;
    plugin->last = plugin->step = 0;
    plugin->mix = -1;
    plugin->running = pthread_create(&plugin->thread, NULL, work, plugin) == 0;
    if (!plugin->running) fprintf(stderr, "stillwave: cannot start a thread. The sound passes through unchanged.\n");
    struct sched_param priority = {.sched_priority = 10}; /* below that of hosts; most users may not set it */
    if (plugin->running) pthread_setschedparam(plugin->thread, SCHED_FIFO, &priority);
}

/* Return the share of the input for the greatest reduction of noise in dB (`--limit-db`) and the bypass. */
static float wanted_mix(const Plugin *plugin) {
    float limit = plugin->ports[LIMIT] ? *plugin->ports[LIMIT] : NO_LIMIT_DB;
    if (plugin->ports[BYPASS] && *plugin->ports[BYPASS] > 0) return 1;
    if (!(limit < NO_LIMIT_DB)) return 0;
    return limit > 0 ? (float)pow(10, -limit / 20) : 1;
}

/* Wait until the thread has processed `count` samples. */
static void wait_for(const Plugin *plugin, int64_t count) {
    const struct timespec pause = {.tv_nsec = 50000};
    while (atomic_load_explicit(&plugin->produced, memory_order_acquire) < count) nanosleep(&pause, NULL);
}

static float at(const float *ring, int64_t number) { return number < 0 ? 0 : ring[number & MASK]; }

/* Return whether the estimate of `count` samples from `first` on is played: it is complete, and has been for a while. */
static bool in_time(Plugin *plugin, int64_t first, int64_t count) {
    bool complete = first + count <= atomic_load_explicit(&plugin->produced, memory_order_acquire) &&
                    first >= atomic_load(&plugin->valid);
    plugin->late += !complete;
    plugin->patience = complete ? plugin->patience - count : lround(PATIENCE * plugin->rate);
    return complete && plugin->patience <= 0;
}

static void process(Plugin *plugin, const float *in, float *out, int64_t count) {
    int64_t begun = atomic_load_explicit(&plugin->written, memory_order_relaxed);
    for (int64_t i = 0; i < count; i++) plugin->input[(begun + i) & MASK] = audible(in[i]);
    atomic_store_explicit(&plugin->written, begun + count, memory_order_release);
    sem_post(&plugin->wake);
    bool waits = plugin->ports[WAIT] && *plugin->ports[WAIT] > 0;
    if (waits) wait_for(plugin, begun + count);
    if (!count) return;
    if (!waits && count > plugin->largest) plugin->largest = count;
    int64_t slack = waits ? 0 : plugin->largest, first = begun - slack, delay = plugin->pipeline.delay;
    bool clean = in_time(plugin, first, count);
    float target = wanted_mix(plugin), change = (float)(1 / (FADE * plugin->rate));
    float decay = (float)exp(-1 / (DECLICK * plugin->rate));
    if (plugin->mix < 0) plugin->mix = target;
    for (int64_t i = 0; i < count; i++) {
        float dry = at(plugin->input, first + i - delay), wet = clean ? at(plugin->output, first + i) : dry;
        plugin->mix += fmaxf(-change, fminf(change, target - plugin->mix));
        float y = plugin->mix <= 0 ? wet : plugin->mix >= 1 ? dry : wet + plugin->mix * (dry - wet);
        if (i == 0 && (slack != plugin->slack || clean != plugin->clean)) plugin->step = plugin->last - y;
        out[i] = plugin->last = y + plugin->step;
        plugin->step = fabsf(plugin->step) > 1e-6f ? plugin->step * decay : 0;
    }
    plugin->clean = clean;
    plugin->slack = slack;
}

static void run(void *handle, unsigned long samples) {
    Plugin *plugin = handle;
    float *in = plugin->ports[IN], *out = plugin->ports[OUT];
    atomic_store(&plugin->pipeline.keep_clean, plugin->ports[KEEP] && *plugin->ports[KEEP] > 0);
    for (unsigned long i = 0; plugin->running && (i == 0 || i < samples); i += MOST_AT_ONCE)
        process(plugin, in + i, out + i, samples - i < MOST_AT_ONCE ? samples - i : MOST_AT_ONCE);
    if (!plugin->running && in != out) memcpy(out, in, samples * sizeof(float));
    if (plugin->ports[LATENCY]) *plugin->ports[LATENCY] = plugin->running ? plugin->pipeline.delay + plugin->slack : 0;
    if (plugin->ports[LATE]) *plugin->ports[LATE] = plugin->late;
}

static void connect_port(void *handle, unsigned long port, float *data) {
    if (port < PORTS) ((Plugin *)handle)->ports[port] = data;
}

static void cleanup(void *handle) {
    Plugin *plugin = handle;
    stop(plugin);
    pipeline_close(&plugin->pipeline);
    sem_destroy(&plugin->wake);
    free(plugin);
}

static void *instantiate(const Descriptor *descriptor, unsigned long rate) {
    Plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin) return NULL;
    char folder[PATH_MAX] = ".", model[PATH_MAX + 32];
    Dl_info info;
    if (dladdr(descriptor, &info) && info.dli_fname && strrchr(info.dli_fname, '/'))
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(info.dli_fname, '/') - info.dli_fname), info.dli_fname);
    snprintf(model, sizeof model, "%s/stillwave.onnx", folder);
    if (getenv("STILLWAVE_MODEL")) snprintf(model, sizeof model, "%s", getenv("STILLWAVE_MODEL"));
    plugin->rate = (int)rate;
    plugin->opened = pipeline_open(&plugin->pipeline, plugin->rate, model, folder);
    sem_init(&plugin->wake, 0, 0);
    if (!plugin->opened)
        fprintf(stderr, "stillwave: %s: %s. The sound passes through unchanged.\n", model, plugin->pipeline.network.why);
    return plugin;
}

enum { CONTROL_IN = PORT_INPUT | PORT_CONTROL, CONTROL_OUT = PORT_OUTPUT | PORT_CONTROL };
static const int KINDS[] = {PORT_INPUT | PORT_AUDIO, PORT_OUTPUT | PORT_AUDIO, CONTROL_IN, CONTROL_IN, CONTROL_IN,
                            CONTROL_IN, CONTROL_OUT, CONTROL_OUT};
static const char *const NAMES[] = {"Input", "Output", "Attenuation limit (dB)", "Bypass", "Wait", "Keep clean sound",
                                    "latency", "Late blocks"};
static const PortRange RANGES[] = {[LIMIT] = {HINT_BELOW | HINT_ABOVE | DEFAULT_MAXIMUM, 0, NO_LIMIT_DB},
                                   [BYPASS] = {HINT_TOGGLED | DEFAULT_0, 0, 0},
                                   [WAIT] = {HINT_TOGGLED | DEFAULT_0, 0, 0},
                                   [KEEP] = {HINT_TOGGLED | DEFAULT_0, 0, 0},
                                   [LATE] = {0}};
static const Descriptor STILLWAVE = {
    .id = 7361221,
    .label = "stillwave",
    .name = "stillwave: remove noise from speech",
    .maker = "stillwave",
    .copyright = "Apache-2.0",
    .ports = PORTS,
    .port_kinds = KINDS,
    .port_names = NAMES,
    .port_ranges = RANGES,
    .instantiate = instantiate,
    .connect_port = connect_port,
    .activate = activate,
    .run = run,
    .deactivate = deactivate,
    .cleanup = cleanup,
};

__attribute__((visibility("default"))) const Descriptor *ladspa_descriptor(unsigned long index) {
    return index ? NULL : &STILLWAVE;
}
