/* stillwave as a LADSPA plug-in for one channel. README.md explains how it is used.
 *
 * The network is C that `stillwave export` wrote. It allocates nothing and takes no locks, so the callback of the host,
 * `run`, computes everything itself.
 */
#include <stdio.h>

#include "ladspa_abi.h"
#include "pipeline.h"

enum { IN, OUT, LIMIT, BYPASS, KEEP, LATENCY, PORTS };
enum { NO_LIMIT_DB = 100, LEAST_RATE = 1000, MOST_RATE = 1000000 };
static const double FADE = 0.02; /* seconds */

typedef struct {
    float *ports[PORTS];
    Pipeline pipeline;
    float mix, change; /* share of the input in the output, and its greatest change; below 0 before the first block */
} Plugin;

static bool switched_on(const Plugin *plugin, int port) { return plugin->ports[port] && *plugin->ports[port] > 0; }

/* Return the share of the input for the greatest reduction of noise in dB (`--limit-db`) and the bypass. */
static float wanted_mix(const Plugin *plugin) {
    float limit = plugin->ports[LIMIT] ? *plugin->ports[LIMIT] : NO_LIMIT_DB;
    if (switched_on(plugin, BYPASS)) return 1;
    if (!(limit < NO_LIMIT_DB)) return 0;
    return limit > 0 ? (float)pow(10, -limit / 20) : 1;
}

static void run(void *handle, unsigned long samples) {
    Plugin *plugin = handle;
    const float *in = plugin->ports[IN];
    float *out = plugin->ports[OUT], target = wanted_mix(plugin), change = plugin->change, dry;
    plugin->pipeline.keep_clean = switched_on(plugin, KEEP);
    if (plugin->mix < 0) plugin->mix = target;
    for (unsigned long i = 0; i < samples; i++) {
        float wet = pipeline_next(&plugin->pipeline, in[i], &dry);
        float mix = plugin->mix += fmaxf(-change, fminf(change, target - plugin->mix));
        out[i] = mix <= 0 ? wet : mix >= 1 ? dry : wet + mix * (dry - wet);
    }
    if (plugin->ports[LATENCY]) *plugin->ports[LATENCY] = (float)plugin->pipeline.delay;
}

static void connect_port(void *handle, unsigned long port, float *data) {
    if (port < PORTS) ((Plugin *)handle)->ports[port] = data;
}

static void activate(void *handle) {
    Plugin *plugin = handle;
    pipeline_reset(&plugin->pipeline);
    plugin->mix = -1;
}

static void cleanup(void *handle) {
    Plugin *plugin = handle;
    pipeline_close(&plugin->pipeline);
    free(plugin);
}

static void *instantiate(const Descriptor *descriptor, unsigned long rate) {
    (void)descriptor;
    Plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin) return NULL;
    if (rate >= LEAST_RATE && rate <= MOST_RATE && pipeline_open(&plugin->pipeline, (int)rate)) {
        plugin->change = (float)(1 / (FADE * rate));
        activate(plugin);
        return plugin;
    }
    fprintf(stderr, "stillwave: cannot convert between %lu Hz and the network's %d Hz; use 48000 Hz\n", rate, RATE);
    cleanup(plugin);
    return NULL;
}

enum { CONTROL_IN = PORT_INPUT | PORT_CONTROL };
static const int KINDS[] = {PORT_INPUT | PORT_AUDIO, PORT_OUTPUT | PORT_AUDIO, CONTROL_IN, CONTROL_IN, CONTROL_IN,
                            PORT_OUTPUT | PORT_CONTROL};
static const char *const NAMES[] = {"Input", "Output", "Attenuation limit (dB)", "Bypass", "Keep clean sound", "latency"};
static const PortRange RANGES[] = {[LIMIT] = {HINT_BELOW | HINT_ABOVE | DEFAULT_MAXIMUM, 0, NO_LIMIT_DB},
                                   [BYPASS] = {HINT_TOGGLED | DEFAULT_0, 0, 0},
                                   [KEEP] = {HINT_TOGGLED | DEFAULT_0, 0, 0},
                                   [LATENCY] = {0}};
static const Descriptor STILLWAVE = {
    .id = 7361221,
    .label = "stillwave",
    .properties = HARD_REALTIME,
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
    .cleanup = cleanup,
};

__attribute__((visibility("default"))) const Descriptor *ladspa_descriptor(unsigned long index) {
    return index ? NULL : &STILLWAVE;
}
