/* What the plug-in uses of the interface of LADSPA 1.1, declared here so that it builds without ladspa.h. */
#ifndef STILLWAVE_LADSPA_ABI_H
#define STILLWAVE_LADSPA_ABI_H

enum { HARD_REALTIME = 4 }; /* `run` neither allocates nor waits, and takes a bounded time */
enum { PORT_INPUT = 1, PORT_OUTPUT = 2, PORT_CONTROL = 4, PORT_AUDIO = 8 };
enum { HINT_BELOW = 1, HINT_ABOVE = 2, HINT_TOGGLED = 4, DEFAULT_MAXIMUM = 0x140, DEFAULT_0 = 0x200 };

typedef struct {
    int hints;
    float lower, upper;
} PortRange;

typedef struct Descriptor {
    unsigned long id;
    const char *label;
    int properties;
    const char *name, *maker, *copyright;
    unsigned long ports;
    const int *port_kinds;
    const char *const *port_names;
    const PortRange *port_ranges;
    void *data;
    void *(*instantiate)(const struct Descriptor *, unsigned long rate);
    void (*connect_port)(void *, unsigned long port, float *);
    void (*activate)(void *);
    void (*run)(void *, unsigned long samples);
    void (*run_adding)(void *, unsigned long samples);
    void (*set_run_adding_gain)(void *, float gain);
    void (*deactivate)(void *);
    void (*cleanup)(void *);
} Descriptor;

#endif
