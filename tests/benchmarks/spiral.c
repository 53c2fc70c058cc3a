/* The spiral's training loop as one would write it by hand: 2-10-3, batch 30, float64, batches gathered by orders.
   The rival of tests/benchmarks/native.py; compiled there by the system's compiler with -O3 -march=native -ffast-math. */
#include <math.h>

enum { B = 30, I = 2, H = 10, O = 3 };

double train(const double *restrict data, const long *restrict labels, const long *restrict orders,
             double *restrict w1, double *restrict b1, double *restrict w2, double *restrict b2,
             double *restrict losses, long epochs, long samples, double lr) {
    double x[B][I], h[B][H], s[B][O], g[B][O], d[B][H];
    long t[B];
    double total = 0;
    for (long e = 0; e < epochs; e++)
        for (long k = 0; k < samples / B; k++) {
            const long *order = orders + e * samples + k * B;
            for (int n = 0; n < B; n++) {
                for (int i = 0; i < I; i++) x[n][i] = data[order[n] * I + i];
                t[n] = labels[order[n]];
            }
            for (int n = 0; n < B; n++)
                for (int j = 0; j < H; j++) h[n][j] = b1[j] + x[n][0] * w1[j] + x[n][1] * w1[H + j];
            for (int n = 0; n < B * H; n++) (&h[0][0])[n] = 1 / (1 + exp(-(&h[0][0])[n]));
            for (int n = 0; n < B; n++)
                for (int o = 0; o < O; o++) {
                    double a = b2[o];
                    for (int j = 0; j < H; j++) a += h[n][j] * w2[j * O + o];
                    s[n][o] = a;
                }
            for (int n = 0; n < B; n++) {
                double most = fmax(s[n][0], fmax(s[n][1], s[n][2]));
                for (int o = 0; o < O; o++) s[n][o] -= most;
            }
            for (int n = 0; n < B * O; n++) (&g[0][0])[n] = exp((&s[0][0])[n]);
            double sums[B], loss = 0;
            for (int n = 0; n < B; n++) sums[n] = g[n][0] + g[n][1] + g[n][2];
            for (int n = 0; n < B; n++) loss += log(sums[n]);
            for (int n = 0; n < B; n++) {
                loss -= s[n][t[n]];
                for (int o = 0; o < O; o++) g[n][o] = (g[n][o] / sums[n] - (o == t[n])) / B;
            }
            for (int n = 0; n < B; n++)
                for (int j = 0; j < H; j++) {
                    double a = 0;
                    for (int o = 0; o < O; o++) a += g[n][o] * w2[j * O + o];
                    d[n][j] = a * h[n][j] * (1 - h[n][j]);
                }
            double dw2[H][O] = {{0}}, db2[O] = {0}, dw1[I][H] = {{0}}, db1[H] = {0};
            for (int n = 0; n < B; n++) {
                for (int j = 0; j < H; j++)
                    for (int o = 0; o < O; o++) dw2[j][o] += h[n][j] * g[n][o];
                for (int o = 0; o < O; o++) db2[o] += g[n][o];
                for (int i = 0; i < I; i++)
                    for (int j = 0; j < H; j++) dw1[i][j] += x[n][i] * d[n][j];
                for (int j = 0; j < H; j++) db1[j] += d[n][j];
            }
            for (int j = 0; j < H * O; j++) w2[j] -= lr * (&dw2[0][0])[j];
            for (int o = 0; o < O; o++) b2[o] -= lr * db2[o];
            for (int j = 0; j < I * H; j++) w1[j] -= lr * (&dw1[0][0])[j];
            for (int j = 0; j < H; j++) b1[j] -= lr * db1[j];
            losses[e * (samples / B) + k] = loss / B;
            total += loss / B;
        }
    return total;
}
