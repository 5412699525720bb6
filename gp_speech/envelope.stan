// Probabilistic amplitude demodulation: x_t = a_t c_t with c_t ~ N(0, 1), a = log(1 + exp(g)), and
// g a Gaussian process of mean mu and covariance exp(-(r / lengthscale)^2), held by its values u on a grid.
// Densities are added with `target +=`, which keeps their constants (`~` would drop them).
data {
  int<lower=1> n;                          // samples
  int<lower=1> m;                          // inducing points
  vector[n] x;                             // waveform, unit root-mean-square
  vector[n] times;                         // of the samples, s
  vector[m] grid;                          // of the inducing points, s
  real<lower=0> lengthscale;               // s
  real mu;                                 // prior mean of g
  real u_min;                              // bounds of u
  real<lower=u_min> u_max;
}
transformed data {
  matrix[m, m] whiten;                     // L^-1, where K_uu = L L'
  matrix[n, m] interpolate;                // K_tu K_uu^-1
  real log_det_L;
  {
    matrix[m, m] K_uu;
    matrix[n, m] K_tu;
    for (j in 1:m) {
      for (i in 1:m) K_uu[i, j] = exp(-square((grid[i] - grid[j]) / lengthscale));
      for (i in 1:n) K_tu[i, j] = exp(-square((times[i] - grid[j]) / lengthscale));
    }
    matrix[m, m] L = cholesky_decompose(K_uu);
    whiten = mdivide_left_tri_low(L, identity_matrix(m));
    interpolate = (K_tu * whiten') * whiten;
    log_det_L = sum(log(diagonal(L)));
  }
}
parameters {
  vector<lower=u_min, upper=u_max>[m] u;   // g on the grid
}
model {
  target += std_normal_lpdf(whiten * (u - mu)) - log_det_L;                // u ~ N(mu, K_uu)
  target += normal_lpdf(x | 0, log1p_exp(mu + interpolate * (u - mu)));    // x_t ~ N(0, a_t^2)
}
