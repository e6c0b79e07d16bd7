"""Networks that `ImageVAE` can have in place of the one with a single latent vector.

    Hierarchy   groups of latent maps from coarse to fine, the ladder of `models.topdown`
    FSQ, VQ     a grid of discrete codes, of a lattice or of a learned codebook

    vt.ImageVAE(network=vt.networks.Hierarchy(groups=(0, 4, 6)), width=64)
    vt.ImageVAE(network=vt.networks.FSQ((8, 5, 5, 5), halvings=2), width=64)

A network says what it is made of; the width of its maps and the likelihood are those of the
estimator. To it, a hierarchy is a model of one flat code (`models.noncentred`), and codes are one
vector too, so that every verb is the same.
"""

from variate.image.networks.codes import FSQ, VQ
from variate.image.networks.hierarchy import Hierarchy

__all__ = ["FSQ", "VQ", "Hierarchy"]
