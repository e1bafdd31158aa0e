/* A streaming model that `stillwave export` wrote, executed frame by frame with ONNX Runtime. */
#ifndef STILLWAVE_NETWORK_H
#define STILLWAVE_NETWORK_H

#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"

enum { MOST_STATES = 64, MOST_AXES = 6, MOST_BINS = 8193, TEXT = 512 };

typedef struct {
    const OrtApi *api;
    int rate, hop, bins;
    float *spectrum, *estimate; /* [2][bins]: real parts, then imaginary parts */
    float *memory[2];           /* all states before and after a frame, which change places */
    size_t floats, used;
    int turn;
    OrtEnv *env;
    OrtSession *session;
    OrtRunOptions *options;
    OrtMemoryInfo *place;
    OrtIoBinding *binding[2];
    OrtValue *values[2 * MOST_STATES + 2];
    size_t count;
    char why[TEXT]; /* what was wrong */
} Network;

static bool network_fail(Network *n, const char *text) {
    snprintf(n->why, sizeof n->why, "%s", text);
    return false;
}

static bool passed(Network *n, OrtStatus *status) {
    if (!status) return true;
    network_fail(n, n->api->GetErrorMessage(status));
    n->why[strcspn(n->why, "\n")] = 0;
    n->api->ReleaseStatus(status);
    return false;
}

/* Find the library: $STILLWAVE_ONNXRUNTIME, beside the plug-in, or where the system's loader finds it. */
static bool runtime_open(Network *n, const char *folder) {
    char beside[PATH_MAX + 32];
    snprintf(beside, sizeof beside, "%s/libonnxruntime.so", folder);
    const char *given = getenv("STILLWAVE_ONNXRUNTIME");
    const char *places[] = {given ? given : beside, "libonnxruntime.so.1", "libonnxruntime.so"};
    void *library = NULL;
    if (!getenv("ORT_DISABLE_TELEMETRY")) setenv("ORT_DISABLE_TELEMETRY", "1", 0); /* read when it is loaded */
    for (int i = 0; i < (given ? 1 : 3) && !library; i++) library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
    if (!library && given) return network_fail(n, dlerror());
    if (!library) return network_fail(n, "found no libonnxruntime.so; set STILLWAVE_ONNXRUNTIME to its path");
    const OrtApiBase *(*base)(void) = NULL;
    *(void **)&base = dlsym(library, "OrtGetApiBase");
    n->api = base ? base()->GetApi(ORT_API_VERSION) : NULL;
    return n->api || network_fail(n, "the ONNX Runtime library is too old; install version 1.11 or newer");
}

static bool session_open(Network *n, const char *path) {
    const OrtApi *api = n->api;
    OrtSessionOptions *options = NULL;
    bool opened = passed(n, api->CreateEnv(ORT_LOG_FATAL, "stillwave", &n->env)) &&
                  passed(n, api->DisableTelemetryEvents(n->env)) &&
                  passed(n, api->CreateSessionOptions(&options)) &&
                  passed(n, api->SetSessionLogSeverityLevel(options, ORT_LOG_FATAL)) &&
                  passed(n, api->SetIntraOpNumThreads(options, 1)) &&
                  passed(n, api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0")) &&
                  passed(n, api->AddSessionConfigEntry(options, "session.x64quantprecision", "1")) &&
                  passed(n, api->AddSessionConfigEntry(options, "optimization.disable_specified_optimizers",
                                                       "MatmulTransposeFusion")) && /* as inference/onnx_model.py */
                  passed(n, api->AddFreeDimensionOverrideByName(options, "streams", 1)) &&
                  passed(n, api->AddFreeDimensionOverrideByName(options, "frames", 1)) &&
                  passed(n, api->CreateSession(n->env, path, options, &n->session)) &&
                  passed(n, api->CreateRunOptions(&n->options)) &&
                  passed(n, api->CreateCpuMemoryInfo(ORT_ARENA, ORT_MEMORY_DEFAULT, &n->place));
    if (options) api->ReleaseSessionOptions(options);
    for (int i = 0; i < 2; i++) opened = opened && passed(n, api->CreateIoBinding(n->session, &n->binding[i]));
    return opened;
}

/* Return the whole number after "key": in the metadata, whose own keys precede those of the card, or -1. */
static int number_of(const char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *found = json ? strstr(json, quoted) : NULL;
    return found ? atoi(found + strlen(quoted)) : -1;
}

static bool metadata_read(Network *n, OrtAllocator *allocator) {
    OrtModelMetadata *metadata = NULL;
    char *json = NULL;
    bool read = passed(n, n->api->SessionGetModelMetadata(n->session, &metadata)) &&
                passed(n, n->api->ModelMetadataLookupCustomMetadataMap(metadata, allocator, "stillwave", &json));
    if (metadata) n->api->ReleaseModelMetadata(metadata);
    if (!read) return false;
    int format = number_of(json, "format"), lookahead = number_of(json, "lookahead_frames");
    n->rate = number_of(json, "sample_rate");
    if (json && passed(n, n->api->AllocatorFree(allocator, json)) && format == 1 && n->rate > 0 && lookahead <= 0)
        return true;
    return network_fail(n, json ? "needs a newer plug-in, or has look-ahead" : "was not written by `stillwave export`");
}

/* Return the shape of an input, whose axes `streams` and `frames` are 1, and the number of its axes; 0 on failure. */
static size_t input_shape(Network *n, size_t index, int64_t *shape) {
    OrtTypeInfo *type = NULL;
    const OrtTensorInfo *tensor = NULL;
    int element = 0;
    size_t axes = 0;
    bool read = passed(n, n->api->SessionGetInputTypeInfo(n->session, index, &type)) &&
                passed(n, n->api->CastTypeInfoToTensorInfo(type, &tensor)) && tensor &&
                passed(n, n->api->GetTensorElementType(tensor, &element)) && element == ORT_FLOAT &&
                passed(n, n->api->GetDimensionsCount(tensor, &axes)) && axes <= MOST_AXES &&
                passed(n, n->api->GetDimensions(tensor, shape, axes));
    if (type) n->api->ReleaseTypeInfo(type);
    for (size_t i = 0; i < axes; i++)
        if (shape[i] < 0) shape[i] = 1;
    return read ? axes : 0;
}

static bool bind(Network *n, int binding, bool input, const char *name, float *data, const int64_t *shape, size_t axes) {
    size_t floats = 1;
    for (size_t i = 0; i < axes; i++) floats *= shape[i];
    OrtValue **value = &n->values[n->count];
    if (!passed(n, n->api->CreateTensorWithDataAsOrtValue(n->place, data, floats * sizeof(float), shape, axes, ORT_FLOAT,
                                                          value)))
        return false;
    n->count++;
    return passed(n, (input ? n->api->BindInput : n->api->BindOutput)(n->binding[binding], name, *value));
}

/* Bind input `index` in both directions: its memory is read in one turn and written in the next. */
static bool input_bind(Network *n, size_t index, const char *name) {
    int64_t shape[MOST_AXES];
    size_t axes = input_shape(n, index, shape), floats = 1;
    for (size_t i = 0; i < axes; i++) floats *= shape[i];
    if (strcmp(name, "spectrum") == 0) {
        for (int turn = 0; turn < 2; turn++)
            if (!bind(n, turn, true, "spectrum", n->spectrum, shape, axes) ||
                !bind(n, turn, false, "estimate", n->estimate, shape, axes))
                return false;
        return true;
    }
    char next[TEXT];
    snprintf(next, sizeof next, "next.%s", name + strlen("state."));
    for (int turn = 0; turn < 2; turn++)
        if (!bind(n, turn, true, name, n->memory[turn] + n->used, shape, axes) ||
            !bind(n, turn, false, next, n->memory[1 - turn] + n->used, shape, axes))
            return false;
    n->used += floats;
    return true;
}

/* Measure the inputs, which are `spectrum` and states, and allocate what they need. */
static bool memory_open(Network *n, size_t inputs, char **names) {
    int64_t shape[MOST_AXES];
    for (size_t i = 0; i < inputs; i++) {
        size_t axes = input_shape(n, i, shape), floats = axes ? 1 : 0;
        for (size_t k = 0; k < axes; k++) floats *= shape[k];
        bool spectrum = strcmp(names[i], "spectrum") == 0;
        if (spectrum && axes == 4 && shape[1] == 2 && shape[2] == 1 && shape[3] <= MOST_BINS) n->bins = (int)shape[3];
        if (!spectrum && strncmp(names[i], "state.", 6) == 0) n->floats += floats;
    }
    n->hop = n->bins - 1;
    if (n->hop < 1 || !n->floats)
        return network_fail(n, "is not a streaming model for one microphone; export one without --offline");
    n->spectrum = calloc(2 * n->bins, sizeof(float));
    n->estimate = calloc(2 * n->bins, sizeof(float));
    for (int i = 0; i < 2; i++) n->memory[i] = calloc(n->floats, sizeof(float));
    return (n->spectrum && n->estimate && n->memory[0] && n->memory[1]) || network_fail(n, "there is no memory left");
}

static void network_reset(Network *n) {
    memset(n->memory[n->turn], 0, n->floats * sizeof(float));
}

/* Compute `estimate` and the next states from `spectrum`. Return false, with the first states, if it is not finite. */
static bool network_step(Network *n) {
    OrtStatus *status = n->api->RunWithBinding(n->session, n->options, n->binding[n->turn]);
    n->turn = 1 - n->turn;
    bool finite = !status;
    for (int i = 0; i < 2 * n->bins; i++) finite = finite && fabsf(n->estimate[i]) <= 1e20f;
    if (status) n->api->ReleaseStatus(status);
    if (!finite) network_reset(n);
    return finite;
}

static bool network_open(Network *n, const char *path, const char *folder) {
    OrtAllocator *allocator = NULL;
    char *names[MOST_STATES];
    size_t inputs = 0, outputs = 0, named = 0;
    if (!runtime_open(n, folder) || !session_open(n, path)) return false;
    bool opened = passed(n, n->api->GetAllocatorWithDefaultOptions(&allocator)) && metadata_read(n, allocator) &&
                  passed(n, n->api->SessionGetInputCount(n->session, &inputs)) &&
                  passed(n, n->api->SessionGetOutputCount(n->session, &outputs)) &&
                  (inputs <= MOST_STATES / 2 || network_fail(n, "has too many states"));
    for (; opened && named < inputs; named++)
        if (!passed(n, n->api->SessionGetInputName(n->session, named, allocator, &names[named]))) break;
    opened = opened && named == inputs && memory_open(n, inputs, names);
    for (size_t i = 0; opened && i < inputs; i++) opened = input_bind(n, i, names[i]);
    for (size_t i = 0; i < named; i++) passed(n, n->api->AllocatorFree(allocator, names[i]));
    /* The first calls allocate: they are made here. */
    for (int i = 0; opened && i < 4; i++)
        opened = passed(n, n->api->RunWithBinding(n->session, n->options, n->binding[i % 2]));
    if (opened) network_reset(n);
    return opened;
}

static void network_close(Network *n) {
    const OrtApi *api = n->api;
    for (size_t i = 0; i < n->count; i++) api->ReleaseValue(n->values[i]);
    for (int i = 0; i < 2; i++) {
        if (n->binding[i]) api->ReleaseIoBinding(n->binding[i]);
        free(n->memory[i]);
    }
    if (n->place) api->ReleaseMemoryInfo(n->place);
    if (n->options) api->ReleaseRunOptions(n->options);
    if (n->session) api->ReleaseSession(n->session);
    if (n->env) api->ReleaseEnv(n->env);
    free(n->spectrum);
    free(n->estimate);
}

#endif
