// What the machine gives to hand-written code: the steps of SOBA and SABA in float32 on
// random data of the real sizes, batch 64, with sampling and counting in the loop.
//
//     g++ -O3 -march=native -ffast-math -mprefer-vector-width=512 ceiling.cpp -o ceiling
//     ./ceiling ijcnn1 SOBA
//     ./ceiling peak
//
// Prints {"iterations_per_second": …}, or {"gflops": …} of the fused multiply-adds of a
// core that has nothing else to do. The products keep their sums in registers, with
// the sizes known at compile time and the vectors written out (64 bytes).

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

typedef float vec __attribute__((vector_size(64), aligned(4)));
constexpr int LANES = 16, BATCH = 64;

static inline vec load(const float *p) { return *(const vec *)p; }
static inline void store(float *p, vec x) { *(vec *)p = x; }
static inline float sum(vec x) {
  float total = 0;
  for (int k = 0; k < LANES; k++) total += x[k];
  return total;
}

// out[q][i] = Σ_l a[i][l] w[q][l]
template <int ROWS, int COLS, int Q>
static void dots(const float *a, const float *w, float *out) {
  for (int i = 0; i < ROWS; i++) {
    vec total[Q] = {};
    int l = 0;
    for (; l + LANES <= COLS; l += LANES)
      for (int q = 0; q < Q; q++) total[q] += load(a + i * COLS + l) * load(w + q * COLS + l);
    for (int q = 0; q < Q; q++) {
      float rest = 0;
      for (int k = l; k < COLS; k++) rest += a[i * COLS + k] * w[q * COLS + k];
      out[q * ROWS + i] = sum(total[q]) + rest;
    }
  }
}

// out[q][l] = Σ_i r[q][i] a[i][l]
template <int ROWS, int COLS, int Q>
static void combine(const float *a, const float *r, float *out) {
  int l = 0;
  for (; l + LANES <= COLS; l += LANES) {
    vec total[Q] = {};
    for (int i = 0; i < ROWS; i++)
      for (int q = 0; q < Q; q++) total[q] += load(a + i * COLS + l) * r[q * ROWS + i];
    for (int q = 0; q < Q; q++) store(out + q * COLS + l, total[q]);
  }
  for (; l < COLS; l++)
    for (int q = 0; q < Q; q++) {
      float total = 0;
      for (int i = 0; i < ROWS; i++) total += a[i * COLS + l] * r[q * ROWS + i];
      out[q * COLS + l] = total;
    }
}

struct Sampler {
  std::vector<int> order;
  size_t position;
  uint64_t state = 1;
  explicit Sampler(int n) : order(n), position(n) {
    for (int k = 0; k < n; k++) order[k] = k;
  }
  uint64_t random() {
    uint64_t u = state += 0x9E3779B97F4A7C15ull;
    u = (u ^ (u >> 30)) * 0xBF58476D1CE4E5B9ull;
    u = (u ^ (u >> 27)) * 0x94D049BB133111EBull;
    return u ^ (u >> 31);
  }
  int draw() {
    if (position == order.size()) {
      for (size_t k = order.size() - 1; k > 0; k--) std::swap(order[k], order[random() % (k + 1)]);
      position = 0;
    }
    return order[position++];
  }
};

// Median of the units a second of `advance(n)`, which does n of them.
template <typename Function>
static double median_speed(Function advance) {
  int64_t n = 1;
  std::vector<double> speeds;
  while (speeds.size() < 7) {
    auto started = std::chrono::steady_clock::now();
    advance(n);
    double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (elapsed < .4) n *= 2;
    else speeds.push_back(n / elapsed);
  }
  std::sort(speeds.begin(), speeds.end());
  return speeds[3];
}

// 10^9 operations a second: sums in registers, enough of them to hide the latency.
static double peak() {
  constexpr int SUMS = 16;
  volatile float factor = .999f, term = 1e-3f, result;
  double speed = median_speed([&](int64_t n) {
    vec x = vec{} + factor, y = vec{} + term, total[SUMS];
    for (int q = 0; q < SUMS; q++) total[q] = vec{} + q * term;  // equal sums would be one
    for (int64_t k = 0; k < n; k++)
      for (int q = 0; q < SUMS; q++) total[q] = total[q] * x + y;
    for (int q = 0; q < SUMS; q++) result = sum(total[q]);
  });
  return speed * SUMS * LANES * 2 / 1e9;
}

static float *buffer(size_t n) {
  void *p = aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64);
  memset(p, 0, n * sizeof(float));
  return (float *)p;
}

static void saga(float *fresh, float *row, float *average, float share, int n) {
  for (int k = 0; k < n; k++) {
    float change = fresh[k] - row[k];
    row[k] = fresh[k];
    fresh[k] = change + average[k];
    average[k] += share * change;
  }
}

// P features, Q classes (1: binary), blocks stored (features, batch) or (batch, features);
// X: 0 one penalty a feature, 1 one a class, 2 one weight a sample.
template <int P, int Q, bool SAMPLES_LAST, int X>
struct Problem {
  static constexpr int DIM = P * Q;
  int n_inner, n_outer, dim_x;
  float *inner, *outer, *labels;  // labels: Q x BATCH a block, shared by both losses
  Sampler inner_sampler, outer_sampler;
  float *z, *v, *x, *dz, *hv, *jv, *fz, *s, *t, *p;
  int64_t counts[4] = {};

  Problem(int n, int m)
      : n_inner((n + BATCH - 1) / BATCH), n_outer((m + BATCH - 1) / BATCH),
        dim_x(X == 0 ? P : X == 1 ? Q : n_inner * BATCH),
        inner_sampler(n_inner), outer_sampler(n_outer) {
    inner = buffer((size_t)n_inner * P * BATCH);
    outer = buffer((size_t)n_outer * P * BATCH);
    labels = buffer((size_t)std::max(n_inner, n_outer) * Q * BATCH);
    for (size_t k = 0; k < (size_t)n_inner * P * BATCH; k++) inner[k] = rand() / (float)RAND_MAX - .5f;
    for (size_t k = 0; k < (size_t)n_outer * P * BATCH; k++) outer[k] = rand() / (float)RAND_MAX - .5f;
    for (int b = 0; b < std::max(n_inner, n_outer); b++)
      for (int i = 0; i < BATCH; i++) {
        if (Q == 1) labels[b * BATCH + i] = rand() % 2 ? 1 : -1;
        else labels[(b * Q + rand() % Q) * BATCH + i] = 1;
      }
    for (float **y : {&z, &v, &dz, &hv, &fz}) *y = buffer(DIM);
    for (float **y : {&x, &jv}) *y = buffer(dim_x);
    for (float **y : {&s, &t, &p}) *y = buffer(Q * BATCH);
  }
  void scores(const float *a, const float *w, float *out) {
    if (SAMPLES_LAST) combine<P, BATCH, Q>(a, w, out);
    else dots<BATCH, P, Q>(a, w, out);
  }
  void gather(const float *a, const float *r, float *out) {
    if (SAMPLES_LAST) dots<P, BATCH, Q>(a, r, out);
    else combine<BATCH, P, Q>(a, r, out);
  }
  // p ← probabilities, s ← residuals, from the scores in s.
  void residuals(const float *y) {
    if (Q == 1) {
      for (int i = 0; i < BATCH; i++) p[i] = 1 / (1 + expf(y[i] * s[i]));
      for (int i = 0; i < BATCH; i++) s[i] = -y[i] * p[i] / BATCH;
      return;
    }
    float top[BATCH], total[BATCH];
    for (int i = 0; i < BATCH; i++) top[i] = s[i], total[i] = 0;
    for (int q = 1; q < Q; q++)
      for (int i = 0; i < BATCH; i++) top[i] = std::max(top[i], s[q * BATCH + i]);
    for (int q = 0; q < Q; q++)
      for (int i = 0; i < BATCH; i++) total[i] += p[q * BATCH + i] = expf(s[q * BATCH + i] - top[i]);
    for (int i = 0; i < BATCH; i++) total[i] = 1 / total[i];
    for (int q = 0; q < Q; q++)
      for (int i = 0; i < BATCH; i++) {
        p[q * BATCH + i] *= total[i];
        s[q * BATCH + i] = (p[q * BATCH + i] - y[q * BATCH + i]) / BATCH;
      }
  }
  void curvatures() {
    if (Q == 1) {
      for (int i = 0; i < BATCH; i++) t[i] *= p[i] * (1 - p[i]) / BATCH;
      return;
    }
    float mean[BATCH] = {};
    for (int q = 0; q < Q; q++)
      for (int i = 0; i < BATCH; i++) mean[i] += p[q * BATCH + i] * t[q * BATCH + i];
    for (int q = 0; q < Q; q++)
      for (int i = 0; i < BATCH; i++)
        t[q * BATCH + i] = p[q * BATCH + i] * (t[q * BATCH + i] - mean[i]) / BATCH;
  }
  void inner_oracle(int b) {
    const float *a = inner + (size_t)b * P * BATCH;
    scores(a, z, s);
    scores(a, v, t);
    residuals(labels + b * Q * BATCH);
    float w[BATCH], cross[BATCH] = {};
    if (X == 2) {
      for (int q = 0; q < Q; q++)
        for (int i = 0; i < BATCH; i++) cross[i] += s[q * BATCH + i] * t[q * BATCH + i];
      for (int i = 0; i < BATCH; i++) w[i] = 1 / (1 + expf(-x[b * BATCH + i]));
      for (int i = 0; i < BATCH; i++) jv[i] = w[i] * (1 - w[i]) * cross[i];
    }
    curvatures();
    if (X == 2)
      for (int q = 0; q < Q; q++)
        for (int i = 0; i < BATCH; i++) s[q * BATCH + i] *= w[i], t[q * BATCH + i] *= w[i];
    gather(a, s, dz);
    gather(a, t, hv);
    if (X == 2) {
      for (int k = 0; k < DIM; k++) dz[k] += .4f * z[k], hv[k] += .4f * v[k];
    } else if (X == 0) {
      for (int k = 0; k < P; k++) {
        float e = expf(x[k]);
        jv[k] = e * z[k] * v[k], dz[k] += e * z[k], hv[k] += e * v[k];
      }
    } else {
      for (int q = 0; q < Q; q++) {
        float e = expf(x[q]), total = 0;
        for (int k = q * P; k < (q + 1) * P; k++)
          total += z[k] * v[k], dz[k] += e * z[k], hv[k] += e * v[k];
        jv[q] = e * total;
      }
    }
    for (int k = 1; k < 4; k++) counts[k] += BATCH;
  }
  void outer_oracle(int b) {
    const float *a = outer + (size_t)b * P * BATCH;
    scores(a, z, s);
    residuals(labels + b * Q * BATCH);
    gather(a, s, fz);
    counts[0] += BATCH;
  }
  double run(bool with_memory) {
    const int table_x = X == 2 ? BATCH : dim_x;
    size_t rows = with_memory;
    float *table = buffer(rows * n_inner * (2 * DIM + table_x)), *averages = buffer(2 * DIM + dim_x);
    float *outer_table = buffer(rows * n_outer * DIM), *outer_average = buffer(DIM);
    auto advance = [&](int64_t n) {
      for (int64_t k = 0; k < n; k++) {
        int i = inner_sampler.draw(), j = outer_sampler.draw();
        inner_oracle(i);
        outer_oracle(j);
        const float step = 1e-3f / std::sqrt((float)(k + 1));
        float *moved_x = X == 2 ? x + i * BATCH : x;
        if (with_memory) {
          float *row = table + (size_t)i * (2 * DIM + table_x), share = 1.f / n_inner;
          saga(dz, row, averages, share, DIM);
          saga(hv, row + DIM, averages + DIM, share, DIM);
          saga(fz, outer_table + (size_t)j * DIM, outer_average, 1.f / n_outer, DIM);
          float *average = averages + 2 * DIM + (X == 2 ? i * BATCH : 0);
          saga(jv, row + 2 * DIM, average, share, table_x);
          if (X == 2)  // the mean moves all of x
            for (int l = 0; l < dim_x; l++) x[l] -= step * averages[2 * DIM + l];
        }
        for (int l = 0; l < DIM; l++) z[l] -= step * dz[l];
        for (int l = 0; l < DIM; l++) v[l] -= step * (hv[l] + fz[l]);
        for (int l = 0; l < table_x; l++) moved_x[l] -= step * jv[l];
      }
    };
    return median_speed(advance);
  }
};

int main(int argc, char **argv) {
  if (argc == 2 && std::string(argv[1]) == "peak") return printf("{\"gflops\": %.1f}\n", peak()), 0;
  if (argc != 3) return fprintf(stderr, "usage: ceiling CELL SOLVER | ceiling peak\n"), 2;
  std::string cell = argv[1];
  bool with_memory = std::string(argv[2]) == "SABA";
  double speed;
  if (cell == "ijcnn1") speed = Problem<22, 1, true, 0>(49990, 91701).run(with_memory);
  else if (cell == "covtype") speed = Problem<54, 7, true, 1>(371847, 92962).run(with_memory);
  else if (cell == "mnist") speed = Problem<784, 10, false, 2>(20000, 5000).run(with_memory);
  else return fprintf(stderr, "no ceiling for %s\n", cell.c_str()), 1;
  printf("{\"iterations_per_second\": %.1f}\n", speed);
}
