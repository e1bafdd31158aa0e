/* The parts of two binary interfaces that the plug-in uses, declared here so that it builds with a C compiler alone:
 * LADSPA 1.1, and the table of functions of ONNX Runtime's C API.
 *
 * Functions are only ever appended to the table, so a position is valid for all later versions. Positions that are not
 * used are gaps.
 */
#ifndef STILLWAVE_ABI_H
#define STILLWAVE_ABI_H

#include <stddef.h>
#include <stdint.h>

/* LADSPA */
enum { PORT_INPUT = 1, PORT_OUTPUT = 2, PORT_CONTROL = 4, PORT_AUDIO = 8 };
enum { HINT_BELOW = 1, HINT_ABOVE = 2, HINT_TOGGLED = 4, HINT_INTEGER = 0x20, DEFAULT_MAXIMUM = 0x140, DEFAULT_0 = 0x200 };

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

/* ONNX Runtime. Functions return NULL or an error. */
enum { ORT_API_VERSION = 11, ORT_LOG_FATAL = 4, ORT_ARENA = 1, ORT_MEMORY_DEFAULT = 0, ORT_FLOAT = 1 };

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorInfo OrtTensorInfo;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtModelMetadata OrtModelMetadata;
typedef struct OrtIoBinding OrtIoBinding;
typedef struct OrtAllocator OrtAllocator;

#define GAP(from, to) void *gap_##from[(to) - (from)]

typedef struct {
    GAP(0, 2);
    const char *(*GetErrorMessage)(const OrtStatus *);
    OrtStatus *(*CreateEnv)(int level, const char *name, OrtEnv **);
    GAP(4, 6);
    OrtStatus *(*DisableTelemetryEvents)(const OrtEnv *);
    OrtStatus *(*CreateSession)(const OrtEnv *, const char *path, const OrtSessionOptions *, OrtSession **);
    GAP(8, 10);
    OrtStatus *(*CreateSessionOptions)(OrtSessionOptions **);
    GAP(11, 22);
    OrtStatus *(*SetSessionLogSeverityLevel)(OrtSessionOptions *, int level);
    GAP(23, 24);
    OrtStatus *(*SetIntraOpNumThreads)(OrtSessionOptions *, int threads);
    GAP(25, 30);
    OrtStatus *(*SessionGetInputCount)(const OrtSession *, size_t *);
    OrtStatus *(*SessionGetOutputCount)(const OrtSession *, size_t *);
    GAP(32, 33);
    OrtStatus *(*SessionGetInputTypeInfo)(const OrtSession *, size_t index, OrtTypeInfo **);
    GAP(34, 36);
    OrtStatus *(*SessionGetInputName)(const OrtSession *, size_t index, OrtAllocator *, char **);
    GAP(37, 39);
    OrtStatus *(*CreateRunOptions)(OrtRunOptions **);
    GAP(40, 49);
    OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *, void *data, size_t bytes, const int64_t *shape,
                                                 size_t axes, int type, OrtValue **);
    GAP(50, 55);
    OrtStatus *(*CastTypeInfoToTensorInfo)(const OrtTypeInfo *, const OrtTensorInfo **);
    GAP(56, 60);
    OrtStatus *(*GetTensorElementType)(const OrtTensorInfo *, int *);
    OrtStatus *(*GetDimensionsCount)(const OrtTensorInfo *, size_t *);
    OrtStatus *(*GetDimensions)(const OrtTensorInfo *, int64_t *, size_t axes);
    GAP(63, 69);
    OrtStatus *(*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo **);
    GAP(70, 76);
    OrtStatus *(*AllocatorFree)(OrtAllocator *, void *);
    GAP(77, 78);
    OrtStatus *(*GetAllocatorWithDefaultOptions)(OrtAllocator **);
    GAP(79, 92);
    void (*ReleaseEnv)(OrtEnv *);
    void (*ReleaseStatus)(OrtStatus *);
    void (*ReleaseMemoryInfo)(OrtMemoryInfo *);
    void (*ReleaseSession)(OrtSession *);
    void (*ReleaseValue)(OrtValue *);
    void (*ReleaseRunOptions)(OrtRunOptions *);
    void (*ReleaseTypeInfo)(OrtTypeInfo *);
    GAP(99, 100);
    void (*ReleaseSessionOptions)(OrtSessionOptions *);
    GAP(101, 111);
    OrtStatus *(*SessionGetModelMetadata)(const OrtSession *, OrtModelMetadata **);
    GAP(112, 116);
    OrtStatus *(*ModelMetadataLookupCustomMetadataMap)(const OrtModelMetadata *, OrtAllocator *, const char *key, char **);
    GAP(117, 118);
    void (*ReleaseModelMetadata)(OrtModelMetadata *);
    GAP(119, 124);
    OrtStatus *(*AddFreeDimensionOverrideByName)(OrtSessionOptions *, const char *axis, int64_t size);
    GAP(125, 130);
    OrtStatus *(*AddSessionConfigEntry)(OrtSessionOptions *, const char *key, const char *value);
    GAP(131, 133);
    OrtStatus *(*RunWithBinding)(OrtSession *, const OrtRunOptions *, const OrtIoBinding *);
    OrtStatus *(*CreateIoBinding)(OrtSession *, OrtIoBinding **);
    void (*ReleaseIoBinding)(OrtIoBinding *);
    OrtStatus *(*BindInput)(OrtIoBinding *, const char *name, const OrtValue *);
    OrtStatus *(*BindOutput)(OrtIoBinding *, const char *name, const OrtValue *);
} OrtApi;

#undef GAP
_Static_assert(offsetof(OrtApi, ReleaseSessionOptions) == 100 * sizeof(void *), "a gap of OrtApi is wrong");
_Static_assert(offsetof(OrtApi, BindOutput) == 137 * sizeof(void *), "a gap of OrtApi is wrong");

typedef struct {
    const OrtApi *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
} OrtApiBase;

#endif
