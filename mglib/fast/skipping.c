/* One image through a gated conv net, closed filters left out: what mglib/fast/skipping.py calls where it can be built.

   Nothing is sliced. A filter's weights are read where they lie, one number for a whole row of pixels, so that an open
   filter beside a closed one costs what it would cost alone. The pixels of the open maps are packed in panels, which a
   processor's vector registers take as they are.

   A map of `size` pixels a side lies in memory with a border of zeros, in size + 2 rows of size + 2. Whole vectors are
   copied where a row may end sooner: what they write too much is overwritten or mended, and every room has SLACK. */

#include <string.h>

/* A vector is as wide as this processor's registers: compilers take a wider one apart, through memory, many times
   slower. Of those registers FILTERS rows of sums, PANEL numbers each, must leave some free. */
#if defined(__AVX512F__)
#define BYTES 64
#define FILTERS 8 /* filters that are computed together */
#elif defined(__AVX__)
#define BYTES 32
#define FILTERS 6
#else
#define BYTES 16
#define FILTERS 6
#endif

#ifdef DOUBLE
typedef double REAL;
#define LANES (BYTES / 8) /* numbers in a vector */
#else
typedef float REAL;
#define LANES (BYTES / 4)
#endif

#define PANEL (2 * LANES) /* pixels that are computed together */
#define SLACK (4 * LANES)
#define EPSILON ((REAL)1e-5)

typedef REAL vector __attribute__((vector_size(BYTES), aligned(sizeof(REAL))));

typedef struct {
    int channels, filters, size, grid, gated, absent; /* size: of the input; absent: channels removed by freezing */
    const REAL *weight;                               /* (filter, channel, 9), the norm folded in */
    const REAL *bias;                                 /* (filter) */
    const REAL *gate_weight;                          /* (channel * grid * grid, filter) */
    const REAL *gate_bias;                            /* (filter) */
} Layer;

/* Every second number of two vectors. */
static inline __attribute__((always_inline)) vector every_second(vector one, vector other) {
#if LANES == 16
    return __builtin_shufflevector(one, other, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif LANES == 8
    return __builtin_shufflevector(one, other, 0, 2, 4, 6, 8, 10, 12, 14);
#elif LANES == 4
    return __builtin_shufflevector(one, other, 0, 2, 4, 6);
#else
    return __builtin_shufflevector(one, other, 0, 2);
#endif
}

static REAL root(REAL x) { return (REAL)__builtin_sqrt((double)x); }

/* Where the map of a filter begins. */
static inline long start(int map, int side) { return (long)map * (side * side + SLACK); }

/* Mean of the cells that torch.nn.functional.adaptive_avg_pool2d makes of a map. */
static void pool(const REAL *map, int size, int grid, REAL *cells) {
    int side = size + 2;
    for (int i = 0; i < grid; i++)
        for (int j = 0; j < grid; j++) {
            int top = i * size / grid, bottom = ((i + 1) * size + grid - 1) / grid;
            int left = j * size / grid, right = ((j + 1) * size + grid - 1) / grid;
            REAL sum = 0;
            if (grid == 1) /* the border adds nothing */
                for (int k = 0; k < side * side; k++) sum += map[k];
            else
                for (int y = top + 1; y <= bottom; y++)
                    for (int x = left + 1; x <= right; x++) sum += map[y * side + x];
            cells[i * grid + j] = sum / ((bottom - top) * (right - left));
        }
}

/* Which filters the gate opens, as in mglib.nets.gates.GateHead; returns how many, and marks them in `gate`. */
static int choose(const Layer *layer, const REAL *maps, const int *channel, int open, REAL *pooled, REAL *restrict gate, int *filter) {
    int cells = layer->grid * layer->grid, inputs = layer->channels * cells, chosen = 0;
    int all = inputs + layer->absent;
    REAL mean = 0, variance;
    memset(pooled, 0, inputs * sizeof(REAL)); /* closed maps are zero, and are normalised among the others */
    for (int a = 0; a < open; a++) pool(maps + start(a, layer->size + 2), layer->size, layer->grid, pooled + channel[a] * cells);
    for (int k = 0; k < inputs; k++) mean += pooled[k];
    mean /= all;
    variance = layer->absent * mean * mean;
    for (int k = 0; k < inputs; k++) variance += (pooled[k] - mean) * (pooled[k] - mean);
    REAL inverse = 1 / root(variance / all + EPSILON);
    for (int k = 0; k < inputs; k++) pooled[k] = (pooled[k] - mean) * inverse;
    for (int f = 0; f < layer->filters; f++) gate[f] = layer->gate_bias[f];
    for (int k = 0; k < inputs; k++) {
        const REAL *restrict weight = layer->gate_weight + (long)k * layer->filters, seen = pooled[k];
        for (int f = 0; f < layer->filters; f++) gate[f] += weight[f] * seen;
    }
    for (int f = 0; f < layer->filters; f++) {
        filter[chosen] = f;
        chosen += gate[f] > 0;
        gate[f] = gate[f] > 0;
    }
    return chosen;
}

/* Copy what a panel of output pixels reads: (open channel, 9, PANEL). */
static void pack(const REAL *maps, int open, int size, int first, int pixels, REAL *panel) {
    int half = (size + 1) / 2, side = size + 2;
    for (int a = 0; a < open; a++)
        for (int tap = 0; tap < 9; tap++, panel += PANEL) {
            int y = first / half, x = first % half;
            for (int p = 0; p < pixels; y++, x = 0) {
                const REAL *row = maps + start(a, side) + (2 * y + tap / 3) * side + 2 * x + tap % 3;
                int run = half - x < pixels - p ? half - x : pixels - p;
                for (int k = 0; k < run; k += LANES) { /* every second pixel, for the stride is 2 */
                    vector one = *(const vector *)(row + 2 * k), other = *(const vector *)(row + 2 * k + LANES);
                    *(vector *)(panel + p + k) = every_second(one, other);
                }
                p += run;
            }
        }
}

/* FILTERS rows of weights times a panel, of which `vectors` registers are filled. */
static inline __attribute__((always_inline)) void multiply(
    const REAL *const *weight, const int *channel, int open, const REAL *panel, REAL sums[FILTERS][PANEL + LANES], const int vectors) {
    vector sum[FILTERS][2] = {{{0}}};
    for (int a = 0; a < open; a++) {
        long at = 9L * channel[a];
        for (int tap = 0; tap < 9; tap++, panel += PANEL)
            for (int v = 0; v < vectors; v++) {
                vector pixels = *(const vector *)(panel + v * LANES);
                for (int f = 0; f < FILTERS; f++) sum[f][v] += weight[f][at + tap] * pixels;
            }
    }
    for (int f = 0; f < FILTERS; f++)
        for (int v = 0; v < vectors; v++) *(vector *)(sums[f] + v * LANES) = sum[f][v];
}

/* Write what a panel gave into a padded map, after norm and relu. */
static void unpack(const REAL *sums, REAL bias, int half, int first, int pixels, REAL *map) {
    int side = half + 2, y = first / half, x = first % half;
    for (int p = 0; p < pixels; y++, x = 0) {
        int run = half - x < pixels - p ? half - x : pixels - p;
        REAL *row = map + (y + 1) * side + x + 1;
        for (int k = 0; k < run; k += LANES) {
            vector value = *(const vector *)(sums + p + k) + bias;
            for (int lane = 0; lane < LANES; lane++) row[k + lane] = value[lane] > 0 ? value[lane] : 0;
        }
        *(vector *)(row + run) = (vector){0}; /* the border, and what was written too much */
        p += run;
    }
}

/* The open filters' maps after norm and relu, padded for the next layer. */
static void convolve(
    const Layer *layer, const REAL *maps, const int *channel, int open, const int *filter, int chosen, REAL *panel, REAL *out) {
    int half = (layer->size + 1) / 2, side = half + 2;
    memset(out, 0, start(chosen, side) * sizeof(REAL));
    for (int first = 0; first < half * half; first += PANEL) {
        int pixels = half * half - first < PANEL ? half * half - first : PANEL;
        pack(maps, open, layer->size, first, pixels, panel);
        for (int next = 0; next < chosen; next += FILTERS) {
            int count = chosen - next < FILTERS ? chosen - next : FILTERS;
            const REAL *weight[FILTERS];
            REAL sums[FILTERS][PANEL + LANES];
            for (int f = 0; f < FILTERS; f++) /* the last filters again where fewer are left: computed, and dropped */
                weight[f] = layer->weight + 9L * layer->channels * filter[next + (f < count ? f : count - 1)];
            if (pixels > LANES)
                multiply(weight, channel, open, panel, sums, 2);
            else
                multiply(weight, channel, open, panel, sums, 1);
            for (int f = 0; f < count; f++)
                unpack(sums[f], layer->bias[filter[next + f]], half, first, pixels, out + start(next + f, side));
        }
    }
}

/* Answer for one image (channel, size, size); returns where the gates of the next image go. */
static REAL *answer(
    const Layer *layers, int depth, const REAL *image, const REAL *head_weight, const REAL *head_bias, int ways,
    REAL *logits, REAL *gates, REAL *maps[2], REAL *panel, REAL *pooled, int *index[2]) {
    int size = layers->size, open = layers->channels;
    memset(maps[0], 0, start(open, size + 2) * sizeof(REAL));
    for (int c = 0; c < open; c++) {
        index[0][c] = c;
        for (int y = 0; y < size; y++, image += size)
            memcpy(maps[0] + start(c, size + 2) + (y + 1) * (size + 2) + 1, image, size * sizeof(REAL));
    }
    for (int l = 0; l < depth; l++) {
        const Layer *layer = layers + l;
        REAL *from = maps[l % 2], *to = maps[(l + 1) % 2];
        int *channel = index[l % 2], *filter = index[(l + 1) % 2], chosen = layer->filters;
        if (layer->gated) {
            chosen = choose(layer, from, channel, open, pooled, gates, filter);
            gates += layer->filters;
        } else
            for (int f = 0; f < chosen; f++) filter[f] = f;
        convolve(layer, from, channel, open, filter, chosen, panel, to);
        open = chosen;
        size = (size + 1) / 2;
    }
    const int *channel = index[depth % 2];
    int width = layers[depth - 1].filters;
    for (int w = 0; w < ways; w++) {
        REAL sum = head_bias[w];
        for (int a = 0; a < open; a++)
            for (int y = 0; y < size; y++) {
                const REAL *weight = head_weight + (((long)w * width + channel[a]) * size + y) * size;
                const REAL *row = maps[depth % 2] + start(a, size + 2) + (y + 1) * (size + 2) + 1;
                for (int x = 0; x < size; x++) sum += weight[x] * row[x];
            }
        logits[w] = sum;
    }
    return gates;
}

static long larger(long one, long other) { return one > other ? one : other; }

/* The largest that any layer asks of each part of the room, in numbers. An index takes no more than a number. */
typedef struct {
    long panel, pooled, index, map;
} Parts;

static Parts largest(const Layer *layers, int depth) {
    Parts parts = {0};
    for (const Layer *layer = layers; layer < layers + depth; layer++) {
        long most = larger(layer->channels, layer->filters);
        parts.panel = larger(parts.panel, 9L * layer->channels * PANEL + SLACK);
        parts.pooled = larger(parts.pooled, (long)layer->channels * layer->grid * layer->grid);
        parts.index = larger(parts.index, most + 1);
        parts.map = larger(parts.map, start(most, layer->size + 2) + SLACK);
    }
    return parts;
}

/* How many numbers `forward` needs room for. */
long room(const Layer *layers, int depth) {
    Parts parts = largest(layers, depth);
    return parts.panel + parts.pooled + 2 * parts.index + 2 * parts.map;
}

/* Answer for images (batch, channel, size, size), one after another: logits (batch, way), gates (batch, filter of any
   gated layer). */
void forward(
    const Layer *layers, int depth, const REAL *head_weight, const REAL *head_bias, int ways, REAL *room,
    const REAL *images, long batch, REAL *logits, REAL *gates) {
    Parts parts = largest(layers, depth);
    REAL *pooled = room + parts.panel, *rest = pooled + parts.pooled, *maps[2] = {rest + 2 * parts.index};
    int *index[2] = {(int *)rest, (int *)(rest + parts.index)};
    maps[1] = maps[0] + parts.map;
    long pixels = (long)layers->channels * layers->size * layers->size;
    for (long b = 0; b < batch; b++)
        gates = answer(
            layers, depth, images + b * pixels, head_weight, head_bias, ways, logits + b * ways, gates, maps, room,
            pooled, index);
}
