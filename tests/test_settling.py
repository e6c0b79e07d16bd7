"""What is fitted once training is over is not measured with the noise that it was fitted to."""

import numpy as np

from variate import TextVAE
from variate.evaluation import kl_per_dimension


def kl_with(model, x, seed):
    return kl_per_dimension(model, x, seed=seed).sum().item()


def test_a_mixture_is_not_measured_with_the_noise_it_was_fitted_to() -> None:
    """With the estimator's own seed the KL was -0.06, with any other 0.05."""
    texts = [
        f"a {one} of {number} things" for number in range(40) for one in ("cat", "dog", "bird")
    ]
    model = TextVAE(epochs=1, seed=0).fit(texts)
    x = model.codec_.encode(texts)
    others = [kl_with(model.model_, x, seed) for seed in range(1, 9)]
    assert abs(kl_with(model.model_, x, seed=0) - np.mean(others)) < 6 * np.std(others)
